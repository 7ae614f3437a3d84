// A queue of BullMQ: jobs by priority, delayed, tried again, failed, repeated in a flow, with their events.
// bullmq.js PORT. It lives on Lua scripts, sorted sets, blocking and streams.
'use strict';
const { Queue, Worker, QueueEvents, FlowProducer } = require('bullmq');
const { main } = require('./show');

async function work(port) {
  const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
  const queue = new Queue('work', { connection });
  const events = new QueueEvents('work', { connection });
  await events.waitUntilReady();
  const order = [];
  const tries = {};
  const worker = new Worker('work', async (job) => {
    tries[job.name] = (tries[job.name] || 0) + 1;
    if (job.name === 'bad' || (job.name === 'again' && tries.again < 3)) throw new Error('on purpose');
    if (job.name === 'ranked') order.push(job.data.rank);
    await job.updateProgress(50);
    if (job.name === 'parent') return Object.values(await job.getChildrenValues()).sort();
    return job.data.rank * 2;
  }, { connection, autorun: false, concurrency: 1 });

  const ranked = await queue.addBulk([5, 1, 4, 2, 3].map((rank) => ({ name: 'ranked', data: { rank }, opts: { priority: rank } })));
  const again = await queue.add('again', { rank: 21 }, { attempts: 5, backoff: { type: 'fixed', delay: 1 } });
  const bad = await queue.add('bad', {}, { attempts: 2 });
  const delayed = await queue.add('delayed', { rank: 8 }, { delay: 50 });
  console.log('counts', JSON.stringify(await queue.getJobCounts('waiting', 'prioritized', 'delayed')));
  worker.run();
  const results = await Promise.all([...ranked, again, delayed].map((job) => job.waitUntilFinished(events, 60000)));
  console.log('results', JSON.stringify(results), 'order', JSON.stringify(order), 'tries', tries.again);
  console.log('bad', await bad.waitUntilFinished(events, 60000).catch((error) => error.message), tries.bad);

  const flow = new FlowProducer({ connection });
  const tree = await flow.add({
    name: 'parent', queueName: 'work', data: {},
    children: [1, 2, 3].map((rank) => ({ name: 'child', queueName: 'work', data: { rank } })),
  });
  console.log('flow', JSON.stringify(await tree.job.waitUntilFinished(events, 60000)));

  await queue.pause();
  await queue.add('ranked', { rank: 9 });
  console.log('paused', JSON.stringify(await queue.getJobCounts('paused', 'active')));
  await queue.resume();
  const counted = () => queue.getJobCounts('completed', 'failed', 'waiting', 'active', 'delayed');
  while ((await counted()).completed < 12) await new Promise((resolve) => setTimeout(resolve, 5));
  console.log('counts', JSON.stringify(await counted()));
  await worker.close();
  console.log('removed', (await queue.clean(0, 100, 'completed')).length);
  await queue.obliterate();
  await Promise.all([flow.close(), events.close(), queue.close()]);
}

main(work, Number(process.argv[2]));

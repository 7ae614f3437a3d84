// Every family of commands through node-redis, in RESP2 and RESP3: node_redis.js PORT PROTOCOL. See redis_py.py.
'use strict';
const { createClient, WatchError } = require('redis');
const { show, main } = require('./show');

async function work(port) {
  const options = { socket: { port, host: '127.0.0.1' }, RESP: Number(process.argv[3]) };
  const client = createClient(options);
  client.on('error', (error) => console.log('error', error.message));
  await client.connect();
  await client.flushAll();
  const call = (name, ...args) => show(`${name} ${JSON.stringify(args)}`, () => client[name](...args));
  await call('set', 's', 'v', { expiration: { type: 'EX', value: 100 } });
  await call('get', 's');
  await call('incr', 's');
  await call('mGet', ['s', 'none']);
  await call('rPush', 'l', ['a', 'b', 'c']);
  await call('lRange', 'l', 0, -1);
  await call('lPos', 'l', 'c');
  await call('sAdd', 'set', ['1', '2', '3']);
  await call('sInterCard', ['set', 'set']);
  await call('hSet', 'h', { a: '1', b: '2' });
  await call('hGetAll', 'h');
  await call('zAdd', 'z', [{ score: 1, value: 'a' }, { score: 2.5, value: 'b' }]);
  await call('zRangeWithScores', 'z', 0, -1);
  await call('zScore', 'z', 'b');
  await call('zMPop', 'z', 'MIN');
  await call('geoAdd', 'g', { longitude: 2.35, latitude: 48.85, member: 'Paris' });
  await call('geoSearch', 'g', 'Paris', { radius: 10, unit: 'km' });
  await call('setBit', 'bits', 7, 1);
  await call('bitCount', 'bits');
  await call('pfAdd', 'hll', ['a', 'b']);
  await call('pfCount', 'hll');
  await call('xAdd', 'x', '1-1', { f: 'v', g: 'w' });
  await call('xAdd', 'x', '1-2', { f: 'x' });
  await call('xRange', 'x', '-', '+');
  await call('xGroupCreate', 'x', 'group', '0');
  await call('xReadGroup', 'group', 'me', { key: 'x', id: '>' }, { COUNT: 1 });
  await call('xPending', 'x', 'group');
  await call('xAck', 'x', 'group', '1-1');
  await call('xInfoGroups', 'x');
  await call('xTrim', 'x', 'MAXLEN', 1);
  await call('lPush', 's', 'wrong type');
  await call('eval', "return {KEYS[1], ARGV[1], 3}", { keys: ['k'], arguments: ['a'] });
  await call('evalSha', 'f'.repeat(40));
  await call('aclWhoAmI');
  await call('configGet', 'maxmemory-policy');
  await call('type', 'x');
  await call('sendCommand', ['NOSUCH', 'x']);
  await call('memoryUsage', 'none');

  await show('multi', () => client.multi().set('m', '1').incr('m').get('m').hGetAll('h').exec());
  const lone = await client.duplicate().connect();
  await lone.watch('m');
  await client.incr('m');
  await show('multi that lost', () => lone.multi().get('m').exec().catch((error) => error instanceof WatchError));

  const waits = lone.blPop('q', 20);
  while (!/blocked_clients:1\r/.test(await client.info('clients')));
  await client.rPush('q', 'x');
  await show('waited', () => waits);

  const listener = await client.duplicate().connect();
  const heard = new Promise((resolve) => listener.subscribe('news', (message, channel) => resolve([channel, message])));
  while ((await client.publish('news', 'hello')) === 0);
  await show('heard', () => heard);
  const sharded = new Promise((resolve) => listener.sSubscribe('shard', (message) => resolve(message)));
  while ((await client.sPublish('shard', 'to a shard')) === 0);
  await show('heard', () => sharded);

  await Promise.all(Array.from({ length: 500 }, (_, n) => client.set(`k:${n}`, String(n))));
  let found = 0;
  for await (const keys of client.scanIterator({ MATCH: 'k:*', COUNT: 50 })) found += keys.length;
  console.log('scanned', found);
}

main(work, Number(process.argv[2]));

// Every family of commands through ioredis: ioredis.js PORT. See redis_py.py.
'use strict';
const Redis = require('ioredis');
const { show, main } = require('./show');

async function blocked(redis) {
  while (!/blocked_clients:1\r/.test(await redis.info('clients')));
}

async function work(port) {
  const redis = new Redis(port, { maxRetriesPerRequest: 1 });
  const call = (...args) => show(args.join(' '), () => redis.call(...args));
  await redis.flushall();
  for (const line of [
    'SET s v', 'GET s', 'SETRANGE s 3 x', 'MSET a 1 b 2', 'MGET a b none', 'INCRBY a 41', 'DECR s', 'GETDEL b',
    'RPUSH l a b c', 'LRANGE l 0 -1', 'LINSERT l BEFORE b x', 'LMOVE l l2 LEFT RIGHT', 'LPOP l 2', 'LLEN s',
    'SADD set 1 2 3', 'SMISMEMBER set 1 9', 'SUNIONSTORE set2 set none', 'SCARD set2', 'HSET h f 1 g 2', 'HGETALL h',
    'HINCRBY h f 5', 'HMGET h f none', 'ZADD z 1 a 2 b', 'ZRANGE z 0 -1 WITHSCORES', 'ZRANGEBYSCORE z (1 +inf', 'ZINCRBY z 3 a',
    'ZPOPMAX z', 'GEOADD g 2.35 48.85 Paris', 'GEOHASH g Paris', 'SETBIT bits 7 1', 'BITCOUNT bits', 'BITFIELD bits GET u8 0',
    'PFADD hll a b c', 'PFCOUNT hll', 'XADD x 1-1 f v', 'XADD x 1-2 f w', 'XRANGE x - +', 'XGROUP CREATE x g 0',
    'XREADGROUP GROUP g c COUNT 1 STREAMS x >', 'XPENDING x g', 'XACK x g 1-1', 'XINFO GROUPS x', 'TYPE x', 'EXPIRE s 100',
    'PERSIST s', 'RENAME s t', 'EXISTS s t', 'OBJECT ENCODING set', 'COPY t u', 'SORT l2 ALPHA', 'NOSUCH', 'GET', 'LPUSH t x',
  ]) await call(...line.split(' '));

  await show('pipeline', () => redis.pipeline().set('p', 1).incr('p').lpush('p', 'x').get('p').exec());
  await show('multi', () => redis.multi().set('m', 1).incr('m').get('m').exec());
  await redis.watch('m');
  await redis.duplicate().incr('m');
  await show('multi that lost', () => redis.multi().get('m').exec());
  await show('multi that is broken', () => redis.multi().call('GET').set('m', 2).exec());

  redis.defineCommand('double', { numberOfKeys: 1, lua: "return redis.call('incrby', KEYS[1], redis.call('get', KEYS[1]) * ARGV[1])" });
  await show('defined command', () => redis.double('m', 1));
  await redis.script('FLUSH');
  await show('defined command again', () => redis.double('m', 1));
  await show('eval', () => redis.eval("return {1, 'a', {2, false}, redis.status_reply('OK')}", 0));
  await show('eval error', () => redis.eval("return redis.error_reply('MINE it is')", 0));

  const other = redis.duplicate();
  for (const [ask, push] of [
    [() => other.blpop('q', 20), () => redis.rpush('q', 'x')],
    [() => other.blmove('q', 'r', 'LEFT', 'RIGHT', 20), () => redis.rpush('q', 'y')],
    [() => other.bzpopmax('zq', 20), () => redis.zadd('zq', 1, 'a', 2, 'b')],
    [() => other.xread('BLOCK', 20000, 'STREAMS', 'xq', '$'), () => redis.xadd('xq', '5-5', 'f', 'v')],
  ]) {
    const answer = ask();
    await blocked(redis);
    await push();
    await show('waited', () => answer);
  }

  const heard = new Promise((resolve) => other.on('pmessage', (...message) => resolve(message)));
  await show('psubscribe', () => other.psubscribe('news.*'));
  await show('publish', () => redis.publish('news.today', 'hello'));
  await show('heard', () => heard);
  await other.punsubscribe();

  await redis.mset(...Array.from({ length: 500 }, (_, n) => [`k:${n}`, n]).flat());
  let found = 0;
  for await (const keys of redis.scanStream({ match: 'k:*', count: 50 })) found += keys.length;
  console.log('scanned', found);
  await show('buffer', async () => {
    await redis.set(Buffer.from([0, 255]), Buffer.from([1, 2, 254]));
    return redis.getBuffer(Buffer.from([0, 255]));
  });
}

main(work, Number(process.argv[2]));

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

  const code = "#!lua name=mine\nredis.register_function('add', function(keys, args) return redis.call('incrby', keys[1], args[1]) end)\n" +
    "redis.register_function{function_name='look', callback=function(keys) return redis.call('get', keys[1]) end, flags={'no-writes'}}";
  await show('function load', () => redis.function('LOAD', code));
  await show('function load again', () => redis.function('LOAD', code));
  await show('function load replace', () => redis.function('LOAD', 'REPLACE', code));
  await show('fcall', () => redis.fcall('add', 1, 'counted', 5));
  await show('fcall_ro', () => redis.fcall_ro('look', 1, 'counted'));
  await show('fcall_ro that writes', () => redis.fcall_ro('add', 1, 'counted', 5));
  const payload = await redis.functionBuffer('DUMP');
  await show('function flush', () => redis.function('FLUSH'));
  await show('function restore', () => redis.function('RESTORE', payload));
  await show('fcall restored', () => redis.fcall('add', 1, 'counted', 5));
  await show('function delete', () => redis.function('DELETE', 'mine'));
  await show('function stats', () => redis.function('STATS'));
  for (const line of [
    'BITFIELD bits OVERFLOW SAT INCRBY u4 0 20 SET i8 #1 -5', 'BITOP NOT inverse bits', 'BITPOS inverse 1 0 -1 BIT', 'PFMERGE merged hll hll',
    'GEOSEARCH g FROMLONLAT 2 48 BYBOX 500 500 km ASC WITHDIST', 'GEOSEARCHSTORE g2 g FROMMEMBER Paris BYRADIUS 1 km', 'LMPOP 1 l LEFT COUNT 2',
    'ZUNION 2 z z WITHSCORES', 'ZADD z 5 e 6 f', 'ZRANGESTORE z2 z 0 -1', 'ZMPOP 1 z2 MAX', 'XAUTOCLAIM x g other 0 0 JUSTID', 'XCLAIM x g c 0 1-1 JUSTID FORCE', 'XINFO STREAM x',
    'XDEL x 1-1', 'XTRIM x MAXLEN 0', 'SWAPDB 0 1', 'SWAPDB 0 1', 'MOVE u 1', 'EXPIRETIME s', 'OBJECT FREQ s', 'CONFIG GET maxmemory-policy', 'CONFIG SET maxmemory-policy allkeys-lfu',
    'SET lfu x', 'OBJECT FREQ lfu', 'CONFIG SET maxmemory-policy noeviction', 'CLIENT SETNAME smoke', 'CLIENT GETNAME', 'CLIENT NO-EVICT ON', 'CLIENT UNBLOCK 999999', 'CLIENT KILL ID 999999', 'CLIENT PAUSE 1 WRITE', 'CLIENT UNPAUSE',
    'CLIENT TRACKING ON BCAST PREFIX zzz REDIRECT 999999', 'CLIENT TRACKINGINFO', 'ACL WHOAMI', 'ACL SETUSER ann on >secret ~s* +get', 'ACL DRYRUN ann get s', 'ACL LOG RESET', 'ACL DELUSER ann', 'ACL CAT nosuch',
    'SLOWLOG RESET', 'SLOWLOG LEN', 'LATENCY LATEST', 'LATENCY RESET', 'MEMORY USAGE none', 'MEMORY PURGE', 'COMMAND GETKEYS MSET a 1 b 2', 'COMMAND DOCS nosuch', 'WAIT 0 1', 'MODULE LIST', 'CLUSTER INFO', 'ECHO said', 'DBSIZE',
  ]) await call(...line.split(' '));

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

  await redis.config('SET', 'notify-keyspace-events', 'Ex$');
  const event = new Promise((resolve) => other.on('message', (...message) => resolve(message)));
  await other.subscribe('__keyevent@0__:set');
  await redis.set('noted', 1);
  await show('event', () => event);
  await redis.config('SET', 'notify-keyspace-events', '');
  await other.unsubscribe();
  const monitor = await redis.monitor();
  const seen = new Promise((resolve) => monitor.on('monitor', (time, args) => resolve(args)));
  await redis.get('watched');
  await show('monitored', () => seen);
  monitor.disconnect();

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

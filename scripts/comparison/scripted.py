"""The part of the random stream that runs in Lua: commands in scripts, the libraries of scripts, functions."""

import struct

# What runs the command in ARGV, or the two commands in it, KEYS[1] being the length of the first.
SCRIPTS_OF_ONE = [
    b"return redis.call(unpack(ARGV))",
    b"return redis.pcall(unpack(ARGV))",
    b"redis.setresp(3) return redis.call(unpack(ARGV))",
    b"local r = redis.pcall(unpack(ARGV)) return type(r) == 'table' and {r.err or r.ok or #r, r} or {type(r), r}",
    b"local ok, r = pcall(redis.call, unpack(ARGV)) return {tostring(ok), r}",
    b"for i = 1, 3 do redis.pcall(unpack(ARGV)) end return redis.pcall(unpack(ARGV))",
    b"redis.call(unpack(ARGV)) error('stop')",
    b"redis.call('select', 3) redis.pcall(unpack(ARGV)) return redis.call('dbsize')",
    b"return {KEYS, ARGV, #ARGV, table.concat(ARGV, ' '), redis.sha1hex(ARGV[1])}",
    b"return coroutine.wrap(function() return redis.call(unpack(ARGV)) end)()",
]
# Commands whose replies are the same in every version, and in no order of their own.
FOR_SCRIPTS = set(b"""SET GET GETSET GETDEL APPEND STRLEN GETRANGE SETRANGE SETNX MSET MSETNX MGET INCR DECR INCRBY DECRBY
RPUSH LPUSH RPUSHX LPUSHX LPOP RPOP LLEN LRANGE LINDEX LSET LINSERT LREM LTRIM LPOS RPOPLPUSH LMOVE HSET HSETNX HGET HMGET
HDEL HLEN HEXISTS HINCRBY HSTRLEN SADD SREM SCARD SISMEMBER SMISMEMBER SMOVE ZREM ZCARD ZCOUNT EXISTS DEL UNLINK TYPE
PERSIST RENAME RENAMENX COPY""".split())
SCRIPTS_OF_TWO = [
    b"local n = tonumber(KEYS[1]) return {redis.pcall(unpack(ARGV, 1, n)), redis.pcall(unpack(ARGV, n + 1))}",
    b"local n = tonumber(KEYS[1]) redis.call(unpack(ARGV, 1, n)) return redis.call(unpack(ARGV, n + 1))",
]

# What calls the libraries of scripts with texts, packs, formats and numbers.
JSON_SCRIPTS = [
    b"return cjson.encode(cjson.decode(ARGV[1]))",
    b"local ok, v = pcall(cjson.decode, ARGV[1]) return {tostring(ok), type(v), ok and cjson.encode(v) or v}",
    b"return cmsgpack.pack(cjson.decode(ARGV[1]))",
]
PACK_SCRIPTS = [
    b"return {cmsgpack.unpack(ARGV[1])}",
    b"local ok, v = pcall(cmsgpack.unpack, ARGV[1]) return {tostring(ok), type(v)}",
    b"return {cmsgpack.unpack_limit(ARGV[1], 2, 1)}",
    b"local at, v = cmsgpack.unpack_one(ARGV[1]) return {at, type(v), cmsgpack.pack(v)}",
]
STRUCT_SCRIPTS = [
    b"return struct.size(ARGV[1])",
    b"return struct.pack(ARGV[1], unpack(ARGV, 3))",
    b"return {struct.unpack(ARGV[1], ARGV[2])}",
]
NUMBER_SCRIPTS = [
    b"return bit.tohex(bit.bxor(ARGV[1], ARGV[2]), ARGV[3])",
    b"return {bit.band(ARGV[1], ARGV[2]), bit.bor(ARGV[1], ARGV[3]), bit.lshift(ARGV[1], ARGV[3]), bit.rol(ARGV[2], ARGV[3])}",
    b"return cmsgpack.pack(tonumber(ARGV[1]), tonumber(ARGV[2]), {tonumber(ARGV[3])})",
    b"return cjson.encode({tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])})",
]
TOKENS = [b"{", b"}", b"[", b"]", b",", b":", b'"a"', b'"\\u00e9"', b'"\\ud83d\\ude00"', b'"', b"\\", b"1", b"-1.5e3", b"0x1f",
          b"nan", b"-", b"true", b"false", b"null", b" ", b"\t", b"nul", b"\x00", b"\xc3\xa9"]
FORMATS = [b"b", b"B", b"h", b"H", b"l", b"L", b"i", b"I3", b"i8", b"f", b"d", b"s", b"c0", b"c3", b"x", b"<", b">", b"!", b"!4", b" ", b"z"]
NUMBERS = [b"0", b"1", b"-1", b"255", b"-129", b"65536", b"4294967296", b"9007199254740993", b"-2147483649", b"1.5", b"0.1", b"1e300", b"33", b"8",
           b"-8", b"x", b""]

# Callbacks of functions; each finds the command that it may run in `args`.
CALLBACKS = [
    b"function(keys, args) return redis.call(unpack(args)) end",
    b"function(keys, args) return {redis.pcall(unpack(args))} end",
    b"function(keys, args) redis.pcall(unpack(args)) return {keys, args, #keys} end",
    b"function(keys, args) count = count + 1 return count end",
    b"function(keys, args) redis.call(unpack(args)) error('stop') end",
    b"function() return cjson.encode({1, 'x', {a = cjson.null}}) end",
    b"function() return KEYS end",
    b"function() other = 1 end",
]
FLAGS = [b"", b"", b", flags = {'no-writes'}", b", flags = {'allow-oom', 'allow-stale'}", b", flags = {}, description = 'what for'"]
# What keeps a library from being one.
FLAWS = [b"redis.register_function('x')", b"redis.call('ping')", b"local x = nothing", b"x = 1", b"(", b"redis.register_function('x', 1)",
         b"redis.register_function{function_name = 'x', callback = function() end, flags = {'foo'}}", b"redis.log(9, 'x')", b"math.random()",
         b"redis.register_function('shared', function() end) redis.register_function('shared', function() end)",
         b"redis.register_function('a-b', function() end)", b"redis.register_function{callback = function() end}"]
HEADS = [b"#!lua", b"#!lua name=", b"#!lua name=a b", b"#!js name=lib1", b"#!lua name=a-b", b"#!lua nom=x", b"#!", b"-- none", b"#!lua name='x"]


def random_json(rnd, depth=0):
    dice = rnd.randrange(9 if depth < 4 else 6)
    if dice < 2:
        return rnd.choice([b"1", b"-7", b"0.5", b"1e10", b"123456789012", b"-0", b"1e400", b"0.1"])
    if dice < 4:
        return b'"' + rnd.choice([b"", b"a/b", b"\\n\\u0001", b"x" * 40, b"\xc3\xa9", b"\\ud83d\\ude00"]) + b'"'
    if dice < 6:
        return rnd.choice([b"true", b"false", b"null"])
    if dice == 6:
        return b'{"k":' + random_json(rnd, depth + 1) + b"}"     # with one key, that there be one order
    return b"[" + b",".join(random_json(rnd, depth + 1) for _ in range(rnd.randrange(5))) + b"]"


def random_pack(rnd):
    whole = rnd.choice([b"\x93\x01\xa1a\xc3", b"\x81\xa1k\x92\x01\x02", b"\xcb" + struct.pack(">d", 0.1), b"\xd3" + struct.pack(">q", -2**40),
                        b"\xda\x00\x03abc", b"\x01\x02\x03", b"\xdc\x00\x02\xc2\xc3", b"\xcf" + b"\xff" * 8, b"\xd9\x01x", b"\xca\x3f\x80\x00\x00"])
    damaged = bytearray(whole)
    if rnd.random() < 0.4:
        damaged[rnd.randrange(len(damaged))] = rnd.randrange(256)
    if rnd.random() < 0.2:
        del damaged[rnd.randrange(len(damaged)):]
    return bytes(damaged)


def library_call(rnd):
    """An EVAL that works with cjson, cmsgpack, struct or bit."""
    numbers = [rnd.choice(NUMBERS) for _ in range(4)]
    dice = rnd.randrange(4)
    if dice == 0:
        text = random_json(rnd) if rnd.random() < 0.7 else b"".join(rnd.choice(TOKENS) for _ in range(rnd.randrange(8)))
        return [b"EVAL", rnd.choice(JSON_SCRIPTS), b"0", text]
    if dice == 1:
        return [b"EVAL", rnd.choice(PACK_SCRIPTS), b"0", random_pack(rnd)]
    if dice == 2:
        form = b"".join(rnd.choice(FORMATS) for _ in range(rnd.randrange(6)))
        return [b"EVAL", rnd.choice(STRUCT_SCRIPTS), b"0", form, rnd.randbytes(rnd.randrange(40))] + numbers
    return [b"EVAL", rnd.choice(NUMBER_SCRIPTS), b"0"] + numbers


def library(rnd):
    """The code of a library. Names are its own, save for one that all of them may want."""
    name = b"lib%d" % rnd.randrange(1, 5)
    if rnd.random() < 0.06:
        return rnd.choice(HEADS) + b"\nredis.register_function('x', function() end)"
    lines = [b"#!lua name=" + name, b"local count = 0"]
    names = [b"%s_f%d" % (name, number) for number in range(rnd.randrange(1, 4))] + [b"shared"] * (rnd.random() < 0.2)
    for function in names:
        callback = rnd.choice(CALLBACKS)
        if rnd.random() < 0.3:
            lines.append(b"redis.register_function('%s', %s)" % (function, callback))
        else:
            lines.append(b"redis.register_function{function_name = '%s', callback = %s%s}" % (function, callback, rnd.choice(FLAGS)))
    if rnd.random() < 0.12:
        lines.append(rnd.choice(FLAWS))
    return b"\n".join(lines)


def function_command(rnd, command):
    """A command about functions, or one that calls one; `command` is what the function may run."""
    name = b"lib%d" % rnd.randrange(1, 6)
    dice = rnd.random()
    if dice < 0.62:
        function = rnd.choice([b"%s_f%d" % (name, rnd.randrange(3)), b"shared", b"LIB1_F0", b"nobody"])
        keys = [] if rnd.random() < 0.5 else [b"str:1"]
        count = rnd.choice([b"-1", b"x", b"99"]) if rnd.random() < 0.03 else b"%d" % len(keys)
        return [rnd.choice([b"FCALL", b"FCALL", b"FCALL_RO"]), function, count] + keys + command
    if dice < 0.86:
        return [b"FUNCTION", b"LOAD"] + [b"REPLACE"] * (rnd.random() < 0.7) + [library(rnd)]
    if dice < 0.90:
        return [b"FUNCTION", b"DELETE", name]
    if dice < 0.96:
        return [b"FUNCTION", b"LIST"] + rnd.choice([[], [b"WITHCODE"], [b"LIBRARYNAME", b"LIB[12]"], [b"LIBRARYNAME", b"lib*", b"WITHCODE"],
                                                    [b"LIBRARYNAME"], [b"FOO"]])
    return rnd.choice([[b"FUNCTION", b"STATS"], [b"FUNCTION", b"FLUSH"], [b"FUNCTION", b"FLUSH", b"NOW"], [b"FUNCTION", b"KILL"], [b"FUNCTION", b"DUMP"],
                       [b"FUNCTION", b"RESTORE", b"x"], [b"FUNCTION", b"FOO"], [b"FUNCTION", b"LOAD", b"FOO", b"x"]])


def settled(reply):
    """A reply of FUNCTION LIST in one order."""
    if isinstance(reply, list):
        inner = [settled(item) for item in reply]
        of_maps = all(isinstance(item, list) or (isinstance(item, tuple) and item[0] == "%") for item in inner)
        return sorted(inner, key=repr) if of_maps else inner
    if isinstance(reply, tuple) and isinstance(reply[1], list):
        return (reply[0], settled(reply[1]))
    return reply


def function_rule(argv, a, b):
    """Libraries and functions have no order; a payload is compared by what it restores, elsewhere."""
    if argv[1].upper() == b"DUMP":
        return isinstance(a, bytes) and isinstance(b, bytes)
    return settled(a) == settled(b)

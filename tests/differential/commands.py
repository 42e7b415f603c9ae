"""The commands that are sent: tables in the language of grammar.py, by group. A line is used if both servers have its
commands.

Commands with random results, cursors and dumps are in scenarios.py, which knows how to compare them.
"""

TABLES = {}

TABLES["keys"] = """
    3   DEL <keys any>
    1   UNLINK <keys any>
    2   EXISTS <keys any>
    1   TOUCH <keys any>
    3   TYPE <any>
    6   OBJECT ENCODING <any>
    1   OBJECT REFCOUNT nokey
    1   OBJECT FREQ <any>
    1   OBJECT IDLETIME <any>
    1   OBJECT <word> <any>
    2   RENAME <any> <any>
    1   RENAMENX <any> <any>
    3   COPY <any> <any> [DB <db>] [REPLACE]
    2   MOVE <any> <db>
    1   SWAPDB <db> <db>
    3   SELECT <db>
    2   DBSIZE
    1   KEYS <pattern>
    1   KEYS *
    1 ! SCAN 0 COUNT 1000000 [MATCH <pattern>] [TYPE (string|list|set|zset|hash|stream|nosuch)]
    1 ! SCAN (x|18446744073709551616) [COUNT 10]
    1 ! SCAN 0 COUNT (0|-1|x|1000000) [MATCH] [TYPE hash] [NO]
    2 ~ EXPIRE <any> <relsec> [NX|XX|GT|LT] [XX|GT|NO]
    2 ~ PEXPIRE <any> <relms> [NX|XX|GT|LT]
    3 ~ PEXPIREAT <any> <atms> [NX|XX|GT|LT]
    2 ~ EXPIREAT <any> <atsec> [NX|XX|GT|LT|YY] [LT]
    1 ~ EXPIREAT <any> (0|-1|1|1000000000)
    2   PEXPIRETIME <any>
    2   EXPIRETIME <any>
    1   TTL <any>
    1   PTTL <any>
    2   PERSIST <any>
    1   DUMP nokey
    1   RESTORE <any> 0 <word> [REPLACE] [ABSTTL] [NO]
    1   DEBUG DIGEST-VALUE <any> <any>
    1   FLUSHALL (NO|SYNC ASYNC)
    1   ECHO <val>
    1   PING [<val>]
    1   PING <val> <val>
    1   CLIENT SETNAME (a|b|c d|'')
    1   CLIENT GETNAME
    1   AUTH <word> [<word>]
    1 ! COMMAND GETKEYS GET <str>
    1 ! COMMAND GETKEYS MSET <str> <val> <str> <val>
    1 ! COMMAND GETKEYS SET <str> <val>
    1 ! COMMAND GETKEYS DEL <keys any>
    1 ! COMMAND GETKEYS BITFIELD <bits>
    1 ! COMMAND GETKEYS ZUNIONSTORE <zset> <numkeys zset>
    1 ! COMMAND GETKEYS SINTERCARD <numkeys set>
    1 ! COMMAND GETKEYS LMPOP <numkeys list> LEFT
    1 ! COMMAND GETKEYS ZINTERCARD <numkeys zset>
    1 ! COMMAND GETKEYS BITOP AND <bits> <bits>
    1 ! COMMAND GETKEYS NOSUCH a
    1 ! COMMAND GETKEYS MSET a
    1   NOSUCH <val> <val>
    1   PUBLISH <word> <val>
    1   WAIT 0 x
    1   OBJECT
    1   DEBUG
    1 ! COMMAND GETKEYSANDFLAGS GET <str>
    1 ! COMMAND GETKEYSANDFLAGS SET <str> <val> [GET]
    1 ! COMMAND GETKEYSANDFLAGS BITFIELD <bits> {GET u8 0|SET u8 0 1}
    1 ! COMMAND GETKEYSANDFLAGS ZUNIONSTORE <zset> <numkeys zset>
    1 ! COMMAND GETKEYSANDFLAGS SORT <nums> [STORE <list>]
    1 ! MEMORY USAGE nokey [SAMPLES <count>]
    1   PUBSUB (CHANNELS|NUMSUB|NUMPAT|SHARDCHANNELS|SHARDNUMSUB|NO) [<word>]
    1   SPUBLISH <word> <val>
    1   CLIENT (NO|KILL|REPLY|UNBLOCK) x [y]
    1   (ASKING|READONLY|READWRITE|CLUSTER|QUIT x|SUBSCRIBE)
    1 ! HELLO (4|x|2 SETNAME|2 NO|3 AUTH a)
"""

TABLES["flush"] = """
    2   FLUSHDB [SYNC|ASYNC|NO]
    1   FLUSHALL [SYNC|ASYNC]
"""

TABLES["strings"] = """
    9 ~ SET <str> <val> [NX|XX] [GET] [KEEPTTL|<expiry>]
    1 ~ SET <str> <val> <expiry> [KEEPTTL] [NX] [XX] [GET]
    2   SETNX <str> <val>
    1 ~ SETEX <str> <relsec> <val>
    1 ~ PSETEX <str> <relms> <val>
    2   GETSET <str> <val>
    2   GETDEL <str>
    3 ~ GETEX <str> [PERSIST|<expiry>]
    6   GET <str>
    3   MGET <keys str>
    3   MSET {<str> <val>}
    2   MSETNX {<str> <val>}
    5   APPEND <str> <val>
    2   STRLEN <str>
    3   SETRANGE <str> <offset> <val>
    3   GETRANGE <str> <idx> <idx>
    1   SUBSTR <str> <idx> <idx>
    3   INCR <str>
    2   DECR <str>
    3   INCRBY <str> <int>
    3   DECRBY <str> <int>
    4   INCRBYFLOAT <str> <float>
    2   LCS <str> <str> [LEN|IDX] [MINMATCHLEN <count>] [WITHMATCHLEN]
    2   OBJECT ENCODING <str>
    1   MSET w_1 <numelem> w_2 <numelem> w_3 <numelem> w_4 <numelem> w_5 <numelem>
    1   SET <weight> <numelem>
"""

TABLES["bits"] = """
    6   SETBIT <bits> <bit> (0|1|1|2|x)
    3   GETBIT <bits> <bit>
    2   BITCOUNT <bits>
    3   BITCOUNT <bits> <idx> <idx> [BYTE|BIT|BIT|NO]
    1   BITCOUNT <bits> <idx>
    3   BITPOS <bits> (0|1|1|2|x) [<idx>]
    3   BITPOS <bits> (0|1) <idx> <idx> [BYTE|BIT|BIT|NO]
    4   BITOP (AND|OR|XOR|NO) <bits> {<bits>}
    2   BITOP NOT <bits> <bits>
    6   BITFIELD <bits> {GET <fieldtype> <fieldat>|SET <fieldtype> <fieldat> <int>|INCRBY <fieldtype> <fieldat> <int>|OVERFLOW (WRAP|SAT|NO)}
    2 ! SETBIT <bits> 5000 0 ;; BITFIELD <same> OVERFLOW FAIL {SET <fieldtype> <fieldat> <int>|INCRBY <fieldtype> <fieldat> <int>}
    2   BITFIELD_RO <bits> {GET <fieldtype> <fieldat>}
    1   BITFIELD_RO <bits> SET u8 0 1
    1   BITFIELD <bits>
    2   GET <bits>
    1   SETRANGE <bits> <offset> <val>
    1   APPEND <bits> <val>
    2   SET <bits> <val>
"""

TABLES["lists"] = """
    7   RPUSH <list> {<elem>}
    6   LPUSH <list> {<elem>}
    1   RPUSHX <list> {<elem>}
    1   LPUSHX <list> {<elem>}
    3   LPOP <list> [<count>]
    3   RPOP <list> [<count>]
    2   LLEN <list>
    4   LRANGE <list> <idx> <idx>
    2   LRANGE <list> 0 -1
    3   LINDEX <list> <idx>
    4   LSET <list> <idx> <elem>
    4   LINSERT <list> (BEFORE|AFTER|NO) <elem> <elem>
    4   LREM <list> <idx> <elem>
    2   LTRIM <list> <idx> <idx>
    4   LMOVE <list> <list> (LEFT|RIGHT) (LEFT|RIGHT|NO)
    2   RPOPLPUSH <list> <list>
    4   LPOS <list> <elem> [RANK <rank>] [COUNT <count>] [MAXLEN <count>]
    3   LMPOP <numkeys list> (LEFT|RIGHT|NO) [COUNT <count>]
    2   OBJECT ENCODING <list>
    1 b BLPOP {<list>} <timeout>
    1 b BRPOP {<list>} <timeout>
    1 b BLMOVE <list> <list> (LEFT|RIGHT) (LEFT|RIGHT|NO) <timeout>
    1 b BRPOPLPUSH <list> <list> <timeout>
    1 b BLMPOP <timeout> <numkeys list> (LEFT|RIGHT) [COUNT <count>]
"""

TABLES["sets"] = """
    8   SADD <set> {<elem>}
    3   SADD <set> {<numelem>}
    3   SREM <set> {<elem>}
    2   SISMEMBER <set> <elem>
    2   SMISMEMBER <set> {<elem>}
    2   SCARD <set>
    3   SMEMBERS <set>
    3   SMOVE <set> <set> <elem>
    2   SINTER <keys set>
    2   SUNION <keys set>
    2   SDIFF <keys set>
    3   SINTERSTORE <set> <keys set>
    3   SUNIONSTORE <set> <keys set>
    3   SDIFFSTORE <set> <keys set>
    2   SINTERCARD <numkeys set> [LIMIT <count>]
    3   OBJECT ENCODING <set>
    1 ! SPOP <set> (1000000|0|-1|x)
    1 ! SRANDMEMBER <set> (1000000|0|x|-9223372036854775808)
    1 ! SSCAN <set> 0 COUNT 1000000 [MATCH <pattern>]
    1 ! SSCAN <set> x [COUNT 0]
"""

TABLES["hashes"] = """
    8   HSET <hash> {<field> <val>}
    2   HMSET <hash> {<field> <val>}
    2   HSETNX <hash> <field> <val>
    4   HGET <hash> <field>
    2   HMGET <hash> {<field>}
    3   HGETALL <hash>
    1   HKEYS <hash>
    1   HVALS <hash>
    1   HLEN <hash>
    3   HDEL <hash> {<field>}
    1   HEXISTS <hash> <field>
    1   HSTRLEN <hash> <field>
    3   HINCRBY <hash> <field> <int>
    3   HINCRBYFLOAT <hash> <field> <float>
    3   OBJECT ENCODING <hash>
    1 ! HSCAN <hash> 0 COUNT 1000000 [MATCH <pattern>]
    1 ! HRANDFIELD <hash> (1000000|0|x) [WITHVALUES|NO]
    1 ! HRANDFIELD <hash> (-9223372036854775808|9223372036854775807) WITHVALUES
    1   HSET <weight> f <numelem> g <val>
"""

TABLES["sorted sets"] = """
    9   ZADD <zset> [NX|XX] [GT|LT] [CH] {<score> <elem>}
    2   ZADD <zset> [NX|XX|GT|LT] [CH] INCR <score> <elem>
    3 ! ZADD <lex> {0 <elem>}
    1   ZREM <lex> {<elem>}
    1 ! DEL <lex>
    3   ZINCRBY <zset> <score> <elem>
    2   ZREM <zset> {<elem>}
    1   ZCARD <zset>
    2   ZCOUNT <zset> <scorebound> <scorebound>
    2   ZLEXCOUNT <lex> <lexbound> <lexbound>
    2   ZSCORE <zset> <elem>
    2   ZMSCORE <zset> {<elem>}
    2 ! ZRANK <zset> <elem>
    1 ! ZREVRANK <zset> <elem>
    3   ZRANGE <zset> <idx> <idx> [REV] [WITHSCORES]
    3   ZRANGE <zset> <scorebound> <scorebound> BYSCORE [REV] [LIMIT <idx> <idx>] [WITHSCORES]
    2   ZRANGE <lex> <lexbound> <lexbound> BYLEX [REV] [LIMIT <idx> <idx>] [WITHSCORES|NO]
    2   ZRANGE <zset> 0 -1 WITHSCORES
    2   ZREVRANGE <zset> <idx> <idx> [WITHSCORES]
    2   ZRANGEBYSCORE <zset> <scorebound> <scorebound> [WITHSCORES] [LIMIT <idx> <idx>]
    2   ZREVRANGEBYSCORE <zset> <scorebound> <scorebound> [WITHSCORES] [LIMIT <idx> <idx>]
    2   ZRANGEBYLEX <lex> <lexbound> <lexbound> [LIMIT <idx> <idx>]
    2   ZREVRANGEBYLEX <lex> <lexbound> <lexbound> [LIMIT <idx> <idx>]
    3   ZRANGESTORE <zset> <zset> <scorebound> <scorebound> [BYSCORE] [REV] [LIMIT <idx> <idx>]
    1   ZRANGESTORE <zset> <zset> <idx> <idx> [REV]
    1   ZRANGESTORE <lex> <lex> <lexbound> <lexbound> BYLEX [REV] [LIMIT <idx> <idx>]
    1   ZREMRANGEBYRANK <zset> <idx> <idx>
    1   ZREMRANGEBYSCORE <zset> <scorebound> <scorebound>
    1   ZREMRANGEBYLEX <lex> <lexbound> <lexbound>
    2   ZPOPMIN <zset> [<count>]
    2   ZPOPMAX <zset> [<count>]
    2   ZMPOP <numkeys zset> (MIN|MAX|NO) [COUNT <count>]
    3   ZUNIONSTORE <zset> <numkeys zset> [WEIGHTS {<float>}] [AGGREGATE (SUM|MIN|MAX|NO)]
    3   ZINTERSTORE <zset> <numkeys zset> [WEIGHTS {<float>}] [AGGREGATE (SUM|MIN|MAX)]
    1   ZINTERSTORE <zset> 2 <zset> <set> [WEIGHTS <float> <float>] [AGGREGATE (SUM|MIN|MAX)]
    1   ZUNIONSTORE <zset> 2 <set> <zset> [WEIGHTS <float> <float>] [AGGREGATE (SUM|MIN|MAX)]
    2   ZDIFFSTORE <zset> <numkeys zset>
    2   ZUNION <numkeys zset> [WEIGHTS <float> <float>] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]
    2   ZINTER <numkeys zset> [WEIGHTS <float>] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]
    1   ZDIFF <numkeys zset> [WITHSCORES]
    1   ZINTERCARD <numkeys zset> [LIMIT <count>]
    3   OBJECT ENCODING <zset>
    1 ! ZSCAN <zset> 0 COUNT 1000000 [MATCH <pattern>]
    1 ! ZRANDMEMBER <zset> (1000000|0|x) [WITHSCORES|NO]
    1 b BZPOPMIN {<zset>} <timeout>
    1 b BZPOPMAX {<zset>} <timeout>
    1 b BZMPOP <timeout> <numkeys zset> (MIN|MAX) [COUNT <count>]
"""

# The peer's SORT mistakes an errno that another command left (ERANGE of a number) for its own. SSCAN leaves none.
TABLES["sort"] = """
    1 ! COMMAND GETKEYS SORT <nums> [GET x] [STORE <list>] [STORE <list>]
    1 ! COMMAND GETKEYS SORT_RO <nums> [GET x] [STORE <list>] [STORE <list>]
    3   RPUSH <nums> {<numelem>}
    1   SADD <nums> {<numelem>}
    1   ZADD <nums> {<score> <numelem>}
    1   DEL <nums>
    6 ! SSCAN nokey 0 ;; SORT <nums> [BY (w_*|h_*->f|nosort|nokey_*|w_*x|h_*->)] [LIMIT <idx> <idx>] [GET (#|w_*|h_*->g|x)] [GET (#|h_*->f)] [ASC|DESC] [STORE <list>]
    2 ! SSCAN nokey 0 ;; SORT <nums> [ASC|DESC] ALPHA [LIMIT <idx> <idx>] [STORE <nums>]
    1 ! SSCAN nokey 0 ;; SORT <nums> BY (w_*|h_*->f) ALPHA [ASC|DESC] [LIMIT <idx> <idx>] [GET (#|w_*)]
    3 ! SSCAN nokey 0 ;; SORT_RO <nums> [BY (w_*|h_*->f|nosort)] [LIMIT <idx> <idx>] [GET (#|w_*)] [ASC|DESC] [ALPHA]
    1 ! SSCAN nokey 0 ;; SORT <nums>
    1 ! SSCAN nokey 0 ;; SORT <list> ALPHA [LIMIT <idx> <idx>] [DESC] [STORE <list>]
    1 ! SSCAN nokey 0 ;; SORT <set> ALPHA [LIMIT <idx> <idx>] [DESC] [STORE <list>]
    1 ! SSCAN nokey 0 ;; SORT <zset> [ALPHA] [BY nosort] [LIMIT <idx> <idx>] [DESC] [STORE <list>]
    1 ! SSCAN nokey 0 ;; SORT_RO <any> ALPHA [STORE <list>]
"""

TABLES["geo"] = """
    1 ! COMMAND GETKEYS GEORADIUS <geo> 1 1 1 m (STORE|STOREDIST|NO) <geo>
    8   GEOADD <geo> [NX|XX] [CH] {<place> <town>}
    3   GEOPOS <geo> {<town>}
    2   GEOPOS <geo>
    3   GEODIST <geo> <town> <town> [<unit>]
    3   GEOHASH <geo> {<town>}
    5   GEOSEARCH <geo> (FROMMEMBER <town>|FROMLONLAT <place>) (BYRADIUS <distance> <unit>|BYBOX <distance> <distance> <unit>) [ASC|DESC] [WITHCOORD] [WITHDIST] [WITHHASH]
    2   GEOSEARCH <geo> (FROMMEMBER <town>|FROMLONLAT <place>) (BYRADIUS <distance> <unit>|BYBOX <distance> <distance> <unit>) (ASC|DESC) COUNT <count> [ANY] (WITHDIST|WITHDIST|WITHDIST WITHHASH|)
    1   GEOSEARCH <geo> [FROMMEMBER <town>] [FROMLONLAT <place>] [BYRADIUS <distance> <unit>] [BYBOX <distance> <distance> <unit>] [ANY] [NO]
    4   GEOSEARCHSTORE <geo> <geo> (FROMMEMBER <town>|FROMLONLAT <place>) (BYRADIUS <distance> <unit>|BYBOX <distance> <distance> <unit>) [ASC|DESC] [STOREDIST]
    2   GEORADIUS <geo> <place> <distance> <unit> [WITHCOORD] [WITHDIST] [WITHHASH] [ASC|DESC] [STORE <geo>|STOREDIST <geo>]
    2   GEORADIUSBYMEMBER <geo> <town> <distance> <unit> [WITHCOORD] [WITHDIST] [ASC|DESC] [STORE <geo>|STOREDIST <geo>]
    1   GEORADIUS_RO <geo> <place> <distance> <unit> (WITHDIST|WITHDIST|) (ASC|DESC) [COUNT <count>] [STORE <geo>]
    1   GEORADIUSBYMEMBER_RO <geo> <town> <distance> <unit> (WITHDIST|WITHHASH WITHDIST|) (ASC|DESC) [COUNT <count>]
    2   ZRANGE <geo> 0 -1 WITHSCORES
    1   ZREM <geo> <town>
    1   DEL <geo>
"""

TABLES["hyperloglog"] = """
    6   PFADD <hll> {<elem>}
    2   PFADD <hll> {<val>}
    1   PFADD <hll>
    4   PFCOUNT <keys hll>
    3   PFMERGE <hll> <keys hll>
    2   STRLEN <hll>
    2   GET <hll>
    1   PFDEBUG ENCODING <hll>
    1 ! PFSELFTEST x
    1   PFDEBUG TODENSE <hll>
    1   PFDEBUG GETREG <hll>
    1   PFDEBUG DECODE <hll>
    1   PFDEBUG <word> <hll>
    1   DEL <hll>
    1   RENAME <hll> <hll>
    1   COPY <hll> <hll> [DB <db>] [REPLACE]
    1 ! SET <str> x ;; PFADD <same> a ;; PFCOUNT <same> ;; PFMERGE <same> <hll> ;; PFCOUNT <same> <hll> ;; PFMERGE <hll> <same>
    1 ! SADD <set> x ;; PFADD <same> a ;; PFCOUNT <same> ;; PFMERGE <same> <hll> ;; PFDEBUG ENCODING <same>
"""

# 7.2 creates a consumer that is named, 7.0 only one that gets an entry. So all are created with their group.
TABLES["streams"] = """
    1 ! COMMAND GETKEYS XREAD [COUNT 2] <streams read>
    1 ! COMMAND GETKEYS XREADGROUP GROUP g c <streams group>
    9 ~ XADD <stream> [NOMKSTREAM] [MAXLEN [=] <count>|MINID [=] <xat>] <xid> {<field> <val>}
    3 ~ XADD <stream> <xid> {a <elem>}
    1 ! XADD <stream> 4000000000000-* a b ;; XADD <same> * c d
    1 ~ XADD <stream> (MAXLEN|MINID|NO) [~] <count> [LIMIT <count>] <xid> a b
    2   XLEN <stream>
    4   XRANGE <stream> <xfrom> <xto> [COUNT <count>]
    3   XREVRANGE <stream> <xto> <xfrom> [COUNT <count>]
    3   XREAD [COUNT <count>] <streams read>
    1 b XREAD [COUNT <count>] BLOCK (0|10|-1|x) <streams read>
    2   XDEL <stream> {<xdeleted>}
    2   XTRIM <stream> (MAXLEN|MINID) [=] <count> [LIMIT <count>]
    1   XTRIM <stream> (MAXLEN|MINID) ~ <count> [LIMIT <count>]
    2 ! XSETID <stream> <xtop> [ENTRIESADDED <entries>] [MAXDELETEDID <xat>]
    5 ! XGROUP CREATE <stream> <group> (0|$|<xat>) [MKSTREAM] [ENTRIESREAD <entries>] ;; XGROUP CREATECONSUMER <same> <samegroup> alice ;; XGROUP CREATECONSUMER <same> <samegroup> bob ;; XGROUP CREATECONSUMER <same> <samegroup> carol
    1   XGROUP SETID <stream> <group> (0|$|<xat>) [ENTRIESREAD <entries>]
    1   XGROUP DESTROY <stream> <group>
    2   XGROUP CREATECONSUMER <stream> <group> <consumer>
    1 ! XGROUP DELCONSUMER <stream> <group> <consumer> ;; XGROUP CREATECONSUMER <same> <samegroup> alice ;; XGROUP CREATECONSUMER <same> <samegroup> bob ;; XGROUP CREATECONSUMER <same> <samegroup> carol
    1   XGROUP <word> <stream>
    8 ! XREADGROUP GROUP <group> <consumer> [COUNT <count>] [NOACK] <streams group>
    1 !b XREADGROUP GROUP <group> <consumer> BLOCK (0|10) [NOACK] <streams group>
    3   XACK <stream> <group> {<xat>}
    3   XPENDING <stream> <group>
    3 ~ XPENDING <stream> <group> [IDLE <minidle>] <xfrom> <xto> <count> [<consumer>]
    3 ! XCLAIM <stream> <group> <consumer> <minidle> {<xat>} [IDLE (0|2000000)] [RETRYCOUNT <count>] [FORCE] [JUSTID] [LASTID <xat>]
    1 ! XCLAIM <stream> <group> <consumer> <minidle> {<xat>} [TIME (1000000|x)] [FORCE] [JUSTID] [NO|RETRYCOUNT (-1|x)|IDLE -1|LASTID x]
    3 ! XAUTOCLAIM <stream> <group> <consumer> <minidle> <xfrom> [COUNT <count>] [JUSTID]
    3   XINFO STREAM <stream>
    3   XINFO STREAM <stream> FULL [COUNT <count>]
    3   XINFO GROUPS <stream>
    2   XINFO CONSUMERS <stream> <group>
    1   XINFO (<word> <stream>|STREAM)
    1   OBJECT ENCODING <stream>
"""

TABLES["heavy"] = """
    6   MSET {<heavy> <bulk>}
    3   MSETNX {<heavy> <bulk>}
    4 ~ SET <heavy> <bulk> [NX|XX] [GET] [KEEPTTL|<expiry>]
    1   SETNX <heavy> <bulk>
    1 ~ SETEX <heavy> <relsec> <bulk>
    3   GETSET <heavy> <bulk>
    2   GETDEL <heavy>
    3   APPEND <heavy> <bulk>
    1 ! SETRANGE <heavy> 30000 <bulk>
    1   SETBIT <heavy> (0|300000) 1
    2   GET <heavy>
    1   GETRANGE <heavy> <idx> <idx>
    1   STRLEN <heavy>
    1   OBJECT ENCODING <heavy>
    4   DEL <heavy> <heavy>
    1   RENAME <heavy> <heavy>
    1   COPY <heavy> <heavy> REPLACE
    1   RPUSH heavy:list {<bulk>}
    1   LPOP heavy:list <count>
    1   SADD heavy:set {<bulk>}
    1   SREM heavy:set <bulk> <bulk>
    1   HSET heavy:hash {<field> <bulk>}
    1   HSET heavy:hash {<bulk> <bulk>}
    1   DEL heavy:list heavy:set heavy:hash
    1   PUBLISH <word> <bulk>
    1   ECHO <bulk>
"""

# Between MULTI and EXEC, and before it.
TABLES["transactions"] = """
    2   WATCH <keys any>
    1   UNWATCH
    1   EXEC
    1   DISCARD
    1   MULTI x
    1   RESET
"""

# One connection blocks, others act, on few keys so that they meet. One stream per command: 7.0 answers with the stream that
# became ready, 7.2 runs the command again.
BLOCKING = """
    4   BLPOP {<list>} 0
    3   BRPOP {<list>} 0
    3   BLMOVE <list> <list> (LEFT|RIGHT) (LEFT|RIGHT) 0
    1   BRPOPLPUSH <list> <list> 0
    3   BLMPOP 0 <numkeys list> (LEFT|RIGHT) [COUNT <count>]
    3   BZPOPMIN {<zset>} 0
    2   BZPOPMAX {<zset>} 0
    3   BZMPOP 0 <numkeys zset> (MIN|MAX) [COUNT <count>]
    3   XREAD [COUNT <count>] BLOCK 0 <streams oneread>
    3   XREADGROUP GROUP <group> <consumer> [COUNT <count>] BLOCK 0 [NOACK] <streams onegroup>
"""

WAKING = """
    5   RPUSH <list> {<elem>}
    2   LPUSH <list> <elem>
    2   LMOVE <list> <list> LEFT RIGHT
    1   LPOP <list>
    1 ! SSCAN nokey 0 ;; SORT <nums> STORE <list>
    5   ZADD <zset> {<score> <elem>}
    1   ZUNIONSTORE <zset> 2 <zset> <set>
    1   ZREM <zset> <elem>
    1   GEOADD <zset> <place> <town>
    4   XADD <stream> <xid> a b
    1 ! XGROUP CREATE <stream> <group> 0 ;; XGROUP CREATECONSUMER <same> <samegroup> alice ;; XGROUP CREATECONSUMER <same> <samegroup> bob ;; XGROUP CREATECONSUMER <same> <samegroup> carol
    1   XGROUP DESTROY <stream> <group>
    2   DEL <any>
    1   RENAME <list> <list>
    1   RENAME <zset> <zset>
    1   RENAME <stream> <stream>
    1   COPY <list> <list> REPLACE
    1   SADD <set> <elem>
    1   FLUSHDB
    3   MULTI
    3   EXEC
    1   DISCARD
"""

# Commands that replace a key by one of another type.
MIXING = """
    3   RENAME <any> <any>
    3   COPY <any> <any> REPLACE
    2   MOVE <any> <db>
    2   SWAPDB 0 <db>
    2   SET <any> <val>
"""

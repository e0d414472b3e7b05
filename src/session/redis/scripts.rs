//! What is asked of the servers in one step each. All keys of a script carry the session's store key as their hash tag,
//! so that they lie together in a cluster.

use redis::Script;

/// The scripts, each with its keys and arguments.
pub(super) struct Scripts {
    /// row, clock; sealed row, its life in ms, idle until, the clock's life in ms. What is there already stays.
    pub(super) create: Script,
    /// row; expected revision, sealed row. The new revision; 0 if it is gone, -1 if it is another one.
    pub(super) replace: Script,
    /// clock; idle until, the clock's life in ms.
    pub(super) touch: Script,
    /// row, clock; now. When it is over, if that is later; 0 if it was, and was taken out; -1 if nothing was there.
    pub(super) sweep: Script,
    /// tag; when the session ends, store key, the tag's life in ms, now. What has ended by itself goes.
    pub(super) tag: Script,
    /// lease; holder, its life in ms. Whether it is the holder's.
    pub(super) lease: Script,
    /// lease; holder.
    pub(super) release: Script,
}

/// row, clock; life of what stays in ms. Whether there was a row. What stays keeps it from coming back.
pub(super) const END: &str = "
local had = redis.call('HEXISTS', KEYS[1], 'd')
local life = math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[1]))
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'x', 1)
redis.call('PEXPIRE', KEYS[1], life)
return had";

const CREATE: &str = "
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'v', 1, 'd', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return 1";

const REPLACE: &str = "
local revision = redis.call('HGET', KEYS[1], 'v')
if not revision then return 0 end
if revision ~= ARGV[1] then return -1 end
redis.call('HSET', KEYS[1], 'v', revision + 1, 'd', ARGV[2])
return revision + 1";

const TOUCH: &str = "
local known = redis.call('GET', KEYS[1])
if known and tonumber(known) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1";

const SWEEP: &str = "
local known = redis.call('GET', KEYS[2])
if known and tonumber(known) > tonumber(ARGV[1]) then return tonumber(known) end
if redis.call('HEXISTS', KEYS[1], 'd') == 0 then return -1 end
redis.call('DEL', KEYS[1], KEYS[2])
return 0";

const TAG: &str = "
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[4])
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1";

const LEASE: &str = "
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

const RELEASE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1";

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            create: Script::new(CREATE),
            replace: Script::new(REPLACE),
            touch: Script::new(TOUCH),
            sweep: Script::new(SWEEP),
            tag: Script::new(TAG),
            lease: Script::new(LEASE),
            release: Script::new(RELEASE),
        }
    }
}

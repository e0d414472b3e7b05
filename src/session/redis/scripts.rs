//! What is asked of the servers in one step each. All keys of a script carry the session's store key as their hash tag,
//! so that they lie together in a cluster.
//!
//! A row is its revision in digits, a colon, and what was sealed: one text, for which Redis takes a tenth less memory than for
//! the same in a hash. Where a session has ended, an `x` stands in its place.

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

/// What stands where the row of an ended session was.
pub(super) const ENDED: &[u8] = b"x";

/// row, clock; life of what stays in ms. Whether there was a row. What stays keeps it from coming back.
pub(super) const END: &str = "
local first = redis.call('GETRANGE', KEYS[1], 0, 0)
local life = math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[1]))
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], 'x', 'PX', life)
if first == '' or first == 'x' then return 0 end
return 1";

const CREATE: &str = "
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('SET', KEYS[1], '1:' .. ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return 1";

const REPLACE: &str = "
local row = redis.call('GET', KEYS[1])
local revision = row and string.match(row, '^%d+')
if not revision then return 0 end
if revision ~= ARGV[1] then return -1 end
redis.call('SET', KEYS[1], (revision + 1) .. ':' .. ARGV[2], 'KEEPTTL')
return revision + 1";

const TOUCH: &str = "
local known = redis.call('GET', KEYS[1])
if known and tonumber(known) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1";

const SWEEP: &str = "
local known = redis.call('GET', KEYS[2])
if known and tonumber(known) > tonumber(ARGV[1]) then return tonumber(known) end
local first = redis.call('GETRANGE', KEYS[1], 0, 0)
if first == '' or first == 'x' then return -1 end
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

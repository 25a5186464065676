package redisstore

// The scripts. Each runs on one server as one step and touches one slot; each
// may run twice, for the client sends again what was not answered.

import "github.com/redis/go-redis/v9"

type scripts struct{ swap, save, begin, standing, hold, drop *redis.Script }

func newScripts() scripts {
	return scripts{
		swap: redis.NewScript(swapScript), save: redis.NewScript(saveScript), begin: redis.NewScript(beginScript), standing: redis.NewScript(standingScript),
		hold: redis.NewScript(holdScript), drop: redis.NewScript(dropScript),
	}
}

// swapScript swaps a record, which every answer to a sign-in does. It has a
// single key, so that it goes on while a cluster moves the slot: scripts with
// several have to wait until all of them have moved.
//
// KEYS: record. ARGV: old version, new value. Returns whether it was swapped.
const swapScript = `
if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then
	return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
`

// saveScript swaps, creates or deletes a record and lists who owns what.
//
// KEYS: record, siblings, then claims and attempt if there are keys.
// ARGV: old version, new value ("" deletes), user ID, attempt ("" if nothing is
// claimed), how many are claimed, those, the released.
// Returns {0} where the record is at another version; {1} where this attempt
// has ended; {2} where this attempt was saved before (then the client sent it
// twice); {3, under which attempt each of the released was claimed ("" for not
// at all)}.
const saveScript = `
local old, value, user, attempt = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local first = 6 + tonumber(ARGV[5] or 0) -- of the released
if redis.call('GETRANGE', KEYS[1], 0, 7) ~= old then
	for i = 6, first - 1 do -- each, for some may have been released since
		if redis.call('HGET', KEYS[3], ARGV[i]) == attempt then
			return {2}
		end
	end
	return {0}
end
redis.call('ZCARD', KEYS[2]) -- what is of another type fails here, with nothing written
if KEYS[3] then
	redis.call('HLEN', KEYS[3])
end
if attempt ~= '' then
	if redis.call('GET', KEYS[4]) ~= attempt then
		return {1}
	end
	redis.call('DEL', KEYS[4])
end
if value == '' then
	redis.call('DEL', KEYS[1])
	redis.call('ZREM', KEYS[2], user)
else
	redis.call('SET', KEYS[1], value)
	if old == '' then
		redis.call('ZADD', KEYS[2], 0, user)
	end
end
local out = {3}
for i = 6, first - 1 do
	redis.call('HSET', KEYS[3], ARGV[i], attempt)
end
for i = first, #ARGV do
	local was = redis.call('HGET', KEYS[3], ARGV[i])
	if was then
		redis.call('HDEL', KEYS[3], ARGV[i])
	end
	out[#out + 1] = was or ''
end
return out
`

// What saveScript says.
const (
	conflict = iota
	overtaken
	savedBefore
	saved
)

// beginScript begins an attempt to claim, and ends any other of the same user:
// of two, one would conflict anyway. The server's time makes it another attempt
// when it runs again, so that nothing revives one that has ended.
//
// KEYS: record, attempt, claims. ARGV: old version, a random name, how long an
// attempt lives in ms, the keys.
// Returns {} where the record is at another version, else {attempt, and for each
// key 1 where the user owns it already}.
const beginScript = `
if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then
	return {}
end
local now = redis.call('TIME')
local attempt = string.format('%s%010d%06d', ARGV[2], now[1], now[2])
redis.call('SET', KEYS[2], attempt, 'PX', ARGV[3])
local out = {attempt}
for i = 4, #ARGV do
	out[#out + 1] = redis.call('HEXISTS', KEYS[3], ARGV[i])
end
return out
`

// standingScript says what a holder's claim is worth, in the holder's slot.
//
// KEYS: attempt, claims. ARGV: the attempt that holds, the unique key.
// Returns 2 where the user owns the key, 1 where the attempt is under way, 0
// where it has ended: that never changes again.
const standingScript = `
if redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[1] then
	return 2
end
if redis.call('GET', KEYS[1]) == ARGV[1] then
	return 1
end
return 0
`

// What standingScript says.
const (
	ended = iota
	underWay
	owned
)

// holdScript takes hold of a unique key, in the key's slot.
//
// KEYS: the claim. ARGV: the holder to be, the one who may be there ("": nobody).
// Returns "" where the key is held so, else who holds it.
const holdScript = `
local there = redis.call('GET', KEYS[1]) or ''
if there == ARGV[1] then
	return ''
end
if there ~= '' and there ~= ARGV[2] then
	return there
end
redis.call('SET', KEYS[1], ARGV[1])
return ''
`

// dropScript deletes a value if it is this one.
const dropScript = `
if redis.call('GET', KEYS[1]) == ARGV[1] then
	return redis.call('DEL', KEYS[1])
end
return 0
`

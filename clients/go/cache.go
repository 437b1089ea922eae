package postern

import (
	"strings"
	"sync"
	"sync/atomic"
)

// cachedToken is a token whose signature and claims were valid when it was first verified, under rules.
type cachedToken struct {
	token            string
	claims           *Claims
	rules            *policy
	expiresAtSeconds int64
	bytes            int
	// slot is the index in the ring of the shard.
	slot int
	// revision is that of the trust under which the token was last found not revoked; 0 before.
	revision atomic.Uint64
	used     atomic.Bool
}

const (
	maxShards     = 64
	minShardBytes = 256 << 10
	// tailLength is how many last characters of a token are its key: they have at least 68 bits of the signature, so two
	// valid tokens with the same tail do not occur, and would only evict each other.
	tailLength = 12
	// entryBytes is the memory of an entry besides its texts, its slots in the shard included.
	entryBytes    = 600
	listItemBytes = 16
)

// tokenCache has verified tokens, bounded in bytes. An entry matches the whole token: a key of a part would accept a forged
// signature beside claims that were verified before. Only valid tokens enter, so junk evicts nothing. A hit is no verdict:
// expiry, key and revocation are checked again.
type tokenCache struct {
	shards        []cacheShard
	maxShardBytes int
}

// cacheShard evicts by the CLOCK algorithm: unlike a list ordered by use, a hit only reads.
type cacheShard struct {
	mu      sync.RWMutex
	entries map[string]*cachedToken
	ring    []*cachedToken
	hand    int
	bytes   int
	// Keeps shards on different cache lines.
	_ [64]byte
}

func newTokenCache(maxBytes int) *tokenCache {
	shards := maxShards
	for shards > 1 && maxBytes/shards < minShardBytes {
		shards /= 2
	}
	cache := &tokenCache{make([]cacheShard, shards), maxBytes / shards}
	for index := range cache.shards {
		cache.shards[index].entries = map[string]*cachedToken{}
	}
	return cache
}

func (c *tokenCache) shardOf(token string) *cacheShard {
	end := len(token)
	return &c.shards[(uint(token[end-4])*31+uint(token[end-7]))%uint(len(c.shards))]
}

func (c *tokenCache) get(token string) *cachedToken {
	if len(token) < tailLength {
		return nil
	}
	shard := c.shardOf(token)
	shard.mu.RLock()
	entry := shard.entries[token[len(token)-tailLength:]]
	shard.mu.RUnlock()
	if entry == nil || entry.token != token {
		return nil
	}
	if !entry.used.Load() {
		entry.used.Store(true)
	}
	return entry
}

func (c *tokenCache) add(token string, claims *Claims, rules *policy) *cachedToken {
	entry := &cachedToken{claims: claims, rules: rules, expiresAtSeconds: claims.ExpiresAt.Unix()}
	// The texts of the claims keep the decoded claims in memory, three quarters of the token.
	entry.bytes = entryBytes + 2*len(token) + listItemBytes*(len(claims.Audience)+len(claims.Roles)+len(claims.AMR))
	if entry.bytes > c.maxShardBytes {
		return entry
	}
	// The caller's text may be part of a larger one.
	entry.token = strings.Clone(token)
	tail := entry.token[len(token)-tailLength:]
	shard := c.shardOf(token)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if former := shard.entries[tail]; former != nil {
		shard.remove(former)
	}
	for shard.bytes+entry.bytes > c.maxShardBytes {
		shard.evict()
	}
	entry.slot = len(shard.ring)
	shard.entries[tail] = entry
	shard.ring = append(shard.ring, entry)
	shard.bytes += entry.bytes
	return entry
}

// evict removes the next entry that was not used since the hand passed it.
func (s *cacheShard) evict() {
	for {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		entry := s.ring[s.hand]
		if entry.used.CompareAndSwap(true, false) {
			s.hand++
			continue
		}
		s.remove(entry)
		return
	}
}

// remove puts the last entry of the ring into the slot of the removed one.
func (s *cacheShard) remove(entry *cachedToken) {
	last := len(s.ring) - 1
	moved := s.ring[last]
	s.ring[entry.slot], moved.slot = moved, entry.slot
	s.ring[last] = nil
	s.ring = s.ring[:last]
	delete(s.entries, entry.token[len(entry.token)-tailLength:])
	s.bytes -= entry.bytes
}

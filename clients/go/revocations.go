package postern

import (
	"math"
	"sync"

	"postern.example/clients/go/posternpb"
)

// purgeStep is how many revocations of each kind one purge visits, so that it does not hold the lock for long.
const purgeStep = 2_000

// revocationSet has all revocations in force. A million sessions take about 40 MB.
type revocationSet struct {
	mu       sync.RWMutex
	sessions idSet
	tokens   idSet
	keys     idSet
}

// idSet maps ids to their expiry in Unix time, seconds. UUIDs take 16 bytes; any other id is a text. Ids are compared
// exactly: a UUID in upper case is a different id.
type idSet struct {
	uuids map[[16]byte]int64
	texts map[string]int64
}

func newRevocationSet() *revocationSet {
	set := func() idSet { return idSet{map[[16]byte]int64{}, map[string]int64{}} }
	return &revocationSet{sessions: set(), tokens: set(), keys: set()}
}

// add adds those of a message and says whether anything changed. A kind that only a newer service knows is ignored.
func (r *revocationSet) add(revocations []*posternpb.Revocation) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := false
	for _, revocation := range revocations {
		expiry := int64(min(revocation.GetExpiresAt(), math.MaxInt64))
		switch revoked := revocation.GetRevoked().(type) {
		case *posternpb.Revocation_SessionId:
			if len(revoked.SessionId) == 16 {
				changed = extend(r.sessions.uuids, [16]byte(revoked.SessionId), expiry) || changed
			}
		case *posternpb.Revocation_SessionName:
			changed = r.sessions.extend(revoked.SessionName, expiry) || changed
		case *posternpb.Revocation_TokenId:
			changed = r.tokens.extend(revoked.TokenId, expiry) || changed
		case *posternpb.Revocation_KeyId:
			changed = r.keys.extend(revoked.KeyId, expiry) || changed
		}
	}
	return changed
}

// covers says whether the session, the token or the key of the claims is revoked.
func (r *revocationSet) covers(claims *Claims) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return claims.SessionID != "" && r.sessions.has(claims.SessionID) || r.tokens.has(claims.TokenID) || r.keys.has(claims.KeyID)
}

// hasToken says whether a token, or an API key, is revoked by its id.
func (r *revocationSet) hasToken(id string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.tokens.has(id)
}

func (r *revocationSet) size() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.sessions.size() + r.tokens.size() + r.keys.size()
}

// purge drops some of the revocations whose tokens have all expired. The order of a Go map starts anywhere, so each call
// visits others.
func (r *revocationSet) purge(nowSeconds int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, set := range []idSet{r.sessions, r.tokens, r.keys} {
		purge(set.uuids, nowSeconds)
		purge(set.texts, nowSeconds)
	}
}

func (s idSet) size() int { return len(s.uuids) + len(s.texts) }

func (s idSet) has(id string) bool {
	if uuid, ok := parseUUID(id); ok {
		_, revoked := s.uuids[uuid]
		return revoked
	}
	_, revoked := s.texts[id]
	return revoked
}

func (s idSet) extend(id string, expiry int64) bool {
	if uuid, ok := parseUUID(id); ok {
		return extend(s.uuids, uuid, expiry)
	}
	return extend(s.texts, id, expiry)
}

func extend[K comparable](expiries map[K]int64, id K, expiry int64) bool {
	if known, ok := expiries[id]; ok && known >= expiry {
		return false
	}
	expiries[id] = expiry
	return true
}

func purge[K comparable](expiries map[K]int64, nowSeconds int64) {
	visited := 0
	for id, expiry := range expiries {
		if visited++; visited > purgeStep {
			return
		}
		if expiry <= nowSeconds {
			delete(expiries, id)
		}
	}
}

// parseUUID reads a UUID in lower case with hyphens.
func parseUUID(id string) (uuid [16]byte, ok bool) {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return uuid, false
	}
	at := 0
	for index := range uuid {
		if id[at] == '-' {
			at++
		}
		high, low := hexDigit(id[at]), hexDigit(id[at+1])
		if high > 15 || low > 15 {
			return uuid, false
		}
		uuid[index] = high<<4 | low
		at += 2
	}
	return uuid, true
}

func hexDigit(character byte) byte {
	switch {
	case character >= '0' && character <= '9':
		return character - '0'
	case character >= 'a' && character <= 'f':
		return character - 'a' + 10
	default:
		return 0xff
	}
}

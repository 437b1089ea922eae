package postern

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"postern.example/clients/go/posternpb"
)

// instant is one reading of the clocks: Unix time, and monotonic time, both in nanoseconds.
type instant struct {
	wallNs, monotonicNs int64
}

var processStart = time.Now()

func systemClock() instant {
	now := time.Now()
	return instant{now.UnixNano(), int64(now.Sub(processStart))}
}

// neverConfirmed is the time of the last confirmation before there was one.
const neverConfirmed = math.MinInt64

// view has the keys and the rules of one moment. It never changes.
type view struct {
	keys  keyRing
	rules *policy
}

// trust has the keys and revocations that are trusted now. One source writes it; every verification reads it.
type trust struct {
	revoked *revocationSet
	view    atomic.Pointer[view]
	// revision grows with every change of keys, rules and revocations: a verdict holds while it is the same.
	revision atomic.Uint64
	// confirmedAt is the monotonic time at which everything that the source had was known here.
	confirmedAt atomic.Int64

	mu      sync.Mutex
	changed chan struct{}
}

func newTrust() *trust {
	t := &trust{revoked: newRevocationSet(), changed: make(chan struct{})}
	t.confirmedAt.Store(neverConfirmed)
	t.revision.Store(1)
	return t
}

func (t *trust) replace(keys keyRing, rules policy) {
	next := &view{keys, &rules}
	// The rules keep their address while they are the same: the cache compares it.
	if current := t.view.Load(); current != nil && rules.equal(current.rules) {
		next.rules = current.rules
	}
	t.view.Store(next)
	t.revision.Add(1)
	t.signal()
}

func (t *trust) revoke(revocations []*posternpb.Revocation) {
	if t.revoked.add(revocations) {
		t.revision.Add(1)
	}
}

// confirm records that everything revoked before a monotonic time is known here.
func (t *trust) confirm(monotonicNs int64) {
	if monotonicNs > t.confirmedAt.Load() {
		t.confirmedAt.Store(monotonicNs)
	}
	t.signal()
}

// unconfirm goes back to the state before the first confirmation: what is known may lack revocations, until confirm.
func (t *trust) unconfirm() {
	t.confirmedAt.Store(neverConfirmed)
}

// whenChanged returns a channel that is closed by the next change of keys or confirmation.
func (t *trust) whenChanged() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

func (t *trust) signal() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.changed)
	t.changed = make(chan struct{})
}

// streamReader applies the updates of the WatchTrust stream to the trust.
type streamReader struct {
	trust *trust
	// complete says that the whole list of revocations has been received.
	complete bool
	cursor   string
	// clockOffsetNs is the wall clock minus the monotonic clock at the last tick.
	clockOffsetNs int64
}

// apply applies one update. The error says why keys were not usable; the ones before stay.
func (r *streamReader) apply(update *posternpb.TrustUpdate, now instant) error {
	var unusable error
	switch update := update.GetUpdate().(type) {
	case *posternpb.TrustUpdate_Keys:
		unusable = r.applyKeys(update.Keys)
	case *posternpb.TrustUpdate_Revocations:
		r.trust.revoke(update.Revocations.GetRevocations())
		r.complete = r.complete || update.Revocations.GetComplete()
	case *posternpb.TrustUpdate_Heartbeat:
		// The age of the server's data adds to ours: it may be cut off from its database.
		if r.complete && r.trust.view.Load() != nil {
			age := time.Duration(update.Heartbeat.GetNewsAgeMs()) * time.Millisecond
			r.trust.confirm(now.monotonicNs - int64(age))
		}
	}
	if cursor := update.GetCursor(); r.complete && cursor != "" {
		r.cursor = cursor
	}
	return unusable
}

func (r *streamReader) applyKeys(keys *posternpb.TrustedKeys) error {
	ring, err := readKeySet([]byte(keys.GetJwks()))
	if err != nil {
		return err
	}
	r.trust.replace(ring, policy{
		issuer:             keys.GetIssuer(),
		audiences:          keys.GetAudiences(),
		maxLifetimeSeconds: float64(keys.GetMaxLifetime()),
		skewSeconds:        int64(keys.GetClockSkew()),
	})
	return nil
}

// clockToleranceNs is the largest step back of the wall clock that changes nothing.
const clockToleranceNs = int64(5 * time.Second)

// tick drops expired revocations. It says whether the wall clock was set back: expired tokens are valid again, so what was
// dropped must be read again, and no token is accepted before. The stream has to be opened anew.
func (r *streamReader) tick(now instant) (setBack bool) {
	offset := now.wallNs - now.monotonicNs
	setBack = offset < r.clockOffsetNs-clockToleranceNs
	r.clockOffsetNs = offset
	if setBack {
		r.cursor, r.complete = "", false
		r.trust.unconfirm()
	}
	r.trust.revoked.purge(now.wallNs / int64(time.Second))
	return setBack
}

package postern

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Status says whether a verifier can verify tokens.
type Status string

// The states of a verifier.
const (
	// StatusWaiting: keys and revocations are not loaded yet.
	StatusWaiting Status = "waiting"
	StatusReady   Status = "ready"
	// StatusStale: keys and revocations are older than the maximum; tokens are refused.
	StatusStale Status = "stale"
)

// State is what a verifier knows at one moment.
type State struct {
	Status Status
	// Connected says whether a stream is open and has delivered an update, or the last key set could be fetched.
	Connected bool
	// Age is that of keys and revocations; 0 while waiting, and in JWKS mode while the key set is fresh.
	Age time.Duration
	// Revocations is how many are known.
	Revocations int
	// Err is why the source does not deliver; nil while it does.
	Err error
}

// Verifier verifies access tokens in this process. All its methods may be called at the same time.
type Verifier struct {
	trust        *trust
	cache        *tokenCache
	clock        func() instant
	maxStaleness int64
	// keyMissing is called for a token whose key is not known; nil with a stream, which sends every change.
	keyMissing func()
	// apiKeys is nil with a key set alone: there is nobody to ask.
	apiKeys *apiKeyResolver
	logger  *slog.Logger
	stop    context.CancelCauseFunc
	// stopped is closed when the source has ended.
	stopped chan struct{}
	// hasEnded is set once nothing delivers keys and revocations any more.
	hasEnded atomic.Bool

	mu        sync.Mutex
	connected bool
	err       error
}

// NewVerifier makes a verifier that reads keys and revocations from the WatchTrust stream. It connects at once.
// ctx is for the whole life of the verifier, which stops at its end or with Close: a timeout belongs to [Verifier.Ready],
// which waits until tokens can be verified.
func NewVerifier(ctx context.Context, upstream Upstream, with ...Option) (*Verifier, error) {
	settings, err := optionsOf(with)
	if err != nil {
		return nil, err
	}
	connection, err := upstream.dial()
	if err != nil {
		return nil, err
	}
	if settings.account != nil {
		settings.credential = newServiceCredential(connection, settings.account)
	}
	v := newVerifier(settings)
	v.apiKeys = newAPIKeyResolver(connection, settings.credential, v)
	v.start(ctx, func(ctx context.Context) {
		defer connection.Close()
		newTrustStream(connection, settings.credential, v).run(ctx)
	})
	return v, nil
}

func newVerifier(settings *options) *Verifier {
	v := &Verifier{
		trust:        newTrust(),
		clock:        systemClock,
		maxStaleness: int64(settings.maxStaleness),
		logger:       settings.logger,
	}
	if settings.cacheBytes > 0 {
		v.cache = newTokenCache(settings.cacheBytes)
	}
	return v
}

var errClosed = errors.New("the verifier is closed")

func (v *Verifier) start(ctx context.Context, source func(context.Context)) {
	ctx, v.stop = context.WithCancelCause(ctx)
	v.stopped = make(chan struct{})
	go func() {
		defer close(v.stopped)
		source(ctx)
		cause := context.Cause(ctx)
		if cause != errClosed {
			cause = fmt.Errorf("the context of the verifier has ended: %w", cause)
		}
		v.report(false, cause)
		v.hasEnded.Store(true)
		v.trust.unconfirm()
	}()
}

// Close ends the stream. From then on, as from the end of the context on, every token is refused with TRUST_STALE, since
// revocations do not arrive any more.
func (v *Verifier) Close() {
	v.stop(errClosed)
	<-v.stopped
}

// noWait has ended, so that nothing waits for it.
var noWait = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Verify returns the claims of a valid token. It never waits for the network. The error is a [*Refusal], whose reason is
// one of TOKEN_…, STEP_UP_REQUIRED, ROLE_MISSING, ACTOR_NOT_ALLOWED, API_KEY_INVALID and TRUST_STALE. A requirement that
// [Rules.Validate] would refuse is met by no token.
//
// An API key that the verifier does not know yet is looked up in the background, and refused with TRUST_STALE: a later
// call finds it. One that is only valid in some networks is refused. [Verifier.VerifyContext] is for API keys.
func (v *Verifier) Verify(token string, require Require) (*Claims, error) {
	return v.VerifyContext(noWait, token, require)
}

// VerifyContext is Verify, and waits for the service when it meets an API key for the first time: for a second at most, and
// not longer than ctx. The address of the client is that of [WithClientAddress], or else the peer of the gRPC call whose
// context ctx is.
func (v *Verifier) VerifyContext(ctx context.Context, token string, require Require) (*Claims, error) {
	var claims *Claims
	var refused *Refusal
	if isAPIKey(token) {
		claims, refused = v.verifyAPIKey(ctx, token)
	} else {
		claims, refused = v.verify(token)
	}
	if refused != nil {
		if refused == refusedKeyUnknown && v.keyMissing != nil {
			v.keyMissing()
		}
		return nil, refused
	}
	if refused = require.unmet(claims, v.clock); refused != nil {
		return nil, refused
	}
	return claims, nil
}

func (v *Verifier) verify(token string) (*Claims, *Refusal) {
	now := v.clock()
	// The revision is read before keys and revocations: a change that comes meanwhile is found at the next call.
	revision := v.trust.revision.Load()
	current := v.freshView(now)
	if current == nil {
		return nil, v.refusedNotFresh()
	}
	if len(token) > maxTokenBytes {
		return nil, refusedTooLarge
	}
	var entry *cachedToken
	if v.cache != nil {
		entry = v.cache.get(token)
	}
	if entry == nil || entry.rules != current.rules {
		claims, refused := verifyFresh(token, current, now.wallNs)
		if refused != nil {
			return nil, refused
		}
		entry = v.remember(token, claims, current.rules)
	}
	if refused := v.currentRefusal(entry, current, revision, now); refused != nil {
		return nil, refused
	}
	return entry.claims, nil
}

// freshView returns the keys and rules, or nil when they and the revocations are not loaded yet, or are too old.
func (v *Verifier) freshView(now instant) *view {
	confirmedAt := v.trust.confirmedAt.Load()
	if confirmedAt == neverConfirmed || now.monotonicNs-confirmedAt > v.maxStaleness {
		return nil
	}
	return v.trust.view.Load()
}

// refusedNotFresh is the refusal while freshView returns nil.
func (v *Verifier) refusedNotFresh() *Refusal {
	if v.hasEnded.Load() {
		return refusedEnded
	}
	return refusedStale
}

func (v *Verifier) remember(token string, claims *Claims, rules *policy) *cachedToken {
	if v.cache == nil {
		return &cachedToken{claims: claims, rules: rules, expiresAtSeconds: claims.ExpiresAt.Unix()}
	}
	return v.cache.add(token, claims, rules)
}

// currentRefusal checks what can change after the first verification: key, expiry, revocation. The order of the checks
// before: format, alg, kid, alg of the key, typ, length of the signature, signature, claims.
func (v *Verifier) currentRefusal(entry *cachedToken, current *view, revision uint64, now instant) *Refusal {
	isTrusted := entry.revision.Load() == revision
	if !isTrusted && current.keys[entry.claims.KeyID] == nil {
		return refusedKeyUnknown
	}
	if now.wallNs/int64(time.Second) >= entry.expiresAtSeconds+entry.rules.skewSeconds {
		return refusedExpired
	}
	if isTrusted {
		return nil
	}
	if v.trust.revoked.covers(entry.claims) {
		return refusedRevoked
	}
	entry.revision.Store(revision)
	return nil
}

func verifyFresh(token string, current *view, wallNs int64) (*Claims, *Refusal) {
	parsed, refused := parseToken(token)
	if refused != nil {
		return nil, refused
	}
	key, refused := selectKey(parsed.header, current.keys)
	if refused != nil {
		return nil, refused
	}
	if base64.RawURLEncoding.DecodedLen(len(parsed.signature)) != key.signatureBytes {
		return nil, refusedSignatureLength
	}
	signature, err := base64.RawURLEncoding.DecodeString(parsed.signature)
	if err != nil || !key.matches([]byte(parsed.signed), signature) {
		return nil, refusedSignature
	}
	return checkClaims(parsed.claims, current.rules, key.kid, wallNs)
}

// selectKey finds the only key that a signature is checked with: alg must be in the closed list, kid published, and alg that
// of the key. No other key is tried.
func selectKey(header header, keys keyRing) (*verificationKey, *Refusal) {
	if _, known := algorithms[header.alg]; !known {
		return nil, refusedAlg
	}
	if !header.hasKid {
		return nil, refusedKidMissing
	}
	key := keys[header.kid]
	switch {
	case key == nil:
		return nil, refusedKeyUnknown
	case key.algorithm != header.alg:
		return nil, refusedAlgMismatch
	case !isAccessTokenType(header.typ):
		return nil, refusedType
	}
	return key, nil
}

// State returns what the verifier knows now.
func (v *Verifier) State() State {
	v.mu.Lock()
	state := State{Status: StatusWaiting, Connected: v.connected, Revocations: v.trust.revoked.size(), Err: v.err}
	v.mu.Unlock()
	confirmedAt := v.trust.confirmedAt.Load()
	if v.trust.view.Load() == nil || confirmedAt == neverConfirmed {
		return state
	}
	age := v.clock().monotonicNs - confirmedAt
	state.Status, state.Age = StatusReady, time.Duration(max(0, age))
	if age > v.maxStaleness {
		state.Status = StatusStale
	}
	return state
}

// Ready waits until the verifier can verify tokens. At the end of ctx, or when the verifier was closed, the error says why it
// cannot.
func (v *Verifier) Ready(ctx context.Context) error {
	for {
		changed := v.trust.whenChanged()
		state := v.State()
		if state.Status == StatusReady {
			return nil
		}
		select {
		case <-changed:
		case <-v.stopped:
			return fmt.Errorf("postern: the verifier is not ready: %w", v.State().Err)
		case <-ctx.Done():
			if state = v.State(); state.Err != nil {
				return fmt.Errorf("postern: the verifier is not ready: %w (%w)", state.Err, ctx.Err())
			}
			return fmt.Errorf("postern: the verifier is not ready: no answer of the service yet (%w)", ctx.Err())
		}
	}
}

// report records how the source fares, and logs a change.
func (v *Verifier) report(connected bool, err error) {
	v.mu.Lock()
	wasConnected, before := v.connected, v.err
	v.connected, v.err = connected, err
	v.mu.Unlock()
	switch {
	case errors.Is(err, errClosed), errors.Is(err, context.Canceled):
		// Somebody ended the verifier: nothing to warn of.
	case err != nil && (before == nil || before.Error() != err.Error()):
		v.logger.Warn("postern: keys and revocations do not arrive", "error", err)
	case connected && (!wasConnected || before != nil):
		v.logger.Info("postern: connected")
	}
}

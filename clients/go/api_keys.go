package postern

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"postern.example/clients/go/posternpb"
)

const (
	// lookupTimeout is how long a call waits at most for what its key may do.
	lookupTimeout = time.Second
	// maxLookups is how many keys are looked up at the same time, and maxPendingLookups how many wait for that as well.
	// Whoever invents keys makes the verifier ask no faster.
	maxLookups        = 64
	maxPendingLookups = 1_000
	// maxAPIKeys bounds the keys that are remembered as valid, and those that are remembered as invalid.
	maxAPIKeys = 10_000
	// invalidKept is how long a key that the service does not know is refused without another question.
	invalidKept = 10 * time.Second
	// askAgainPause: an instance of the service learns of a change within a fraction of a second.
	askAgainPause = 50 * time.Millisecond
	lookupLogs    = time.Minute
	// pauseWithoutToken: invented keys must not make the verifier ask for tokens of its own again and again.
	pauseWithoutToken = time.Second
)

// apiKeyResolver knows what API keys may do. It asks the service once for each key, and keeps the answer until its time is
// over or the stream revokes it. Valid and invalid keys are kept apart, so that invented ones evict no valid one.
type apiKeyResolver struct {
	client     posternpb.TrustServiceClient
	credential streamCredential
	trust      *trust
	clock      func() instant
	logger     *slog.Logger
	// slots has one element for each question in progress.
	slots chan struct{}
	// noTokenUntilNs is when the credential is asked again after it had no token; monotonic.
	noTokenUntilNs atomic.Int64

	mu      sync.Mutex
	grants  *lru[keyDigest, *apiKeyGrant]
	invalid *lru[keyDigest, int64]
	lookups map[keyDigest]*lookup
	// silentUntilNs is when the next failure is logged; monotonic.
	silentUntilNs int64
}

// lookup is a question in progress, for all who wait for it.
type lookup struct {
	done    chan struct{}
	grant   *apiKeyGrant
	refused *Refusal
}

func newAPIKeyResolver(connection grpc.ClientConnInterface, credential streamCredential, v *Verifier) *apiKeyResolver {
	return &apiKeyResolver{
		client:        posternpb.NewTrustServiceClient(connection),
		credential:    credential,
		trust:         v.trust,
		clock:         v.clock,
		logger:        v.logger,
		slots:         make(chan struct{}, maxLookups),
		grants:        newLRU[keyDigest, *apiKeyGrant](maxAPIKeys),
		invalid:       newLRU[keyDigest, int64](maxAPIKeys),
		lookups:       map[keyDigest]*lookup{},
		silentUntilNs: neverConfirmed,
	}
}

// verifyAPIKey gives the verdict of the service, in its order: form, state of the key, network.
func (v *Verifier) verifyAPIKey(ctx context.Context, key string) (*Claims, *Refusal) {
	if v.freshView(v.clock()) == nil {
		return nil, v.refusedNotFresh()
	}
	if v.apiKeys == nil {
		return nil, refusedAPIKeyOffline
	}
	digest, ok := digestOfAPIKey(key)
	if !ok {
		return nil, refusedAPIKey
	}
	grant, refused := v.apiKeys.resolve(ctx, digest)
	if refused != nil {
		return nil, refused
	}
	current := v.freshView(v.clock())
	switch {
	case current == nil:
		return nil, v.refusedNotFresh()
	// Postern has removed the audience since.
	case !slices.Contains(current.rules.audiences, grant.claims.Audience[0]), !grant.allows(clientAddressOf(ctx)):
		return nil, refusedAPIKey
	}
	return grant.claims, nil
}

// resolve returns what a key may do. It waits for the service only for a key that it does not know, and no longer than ctx.
func (r *apiKeyResolver) resolve(ctx context.Context, digest keyDigest) (*apiKeyGrant, *Refusal) {
	r.mu.Lock()
	grant, refused := r.known(digest)
	if grant != nil || refused != nil {
		r.mu.Unlock()
		return grant, refused
	}
	pending := r.lookups[digest]
	if pending == nil {
		if len(r.lookups) >= maxPendingLookups {
			r.mu.Unlock()
			return nil, refusedLookup
		}
		pending = &lookup{done: make(chan struct{})}
		r.lookups[digest] = pending
		go r.lookUp(digest, pending)
	}
	r.mu.Unlock()
	select {
	case <-pending.done:
	case <-ctx.Done():
		return nil, refusedLookup
	}
	if pending.grant == nil {
		return nil, pending.refused
	}
	// A revocation may have come between the answer and now.
	switch pending.grant.state(r.trust.revoked, r.clock()) {
	case grantUsable:
		return pending.grant, nil
	case grantEnded:
		return nil, refusedAPIKey
	default:
		return nil, refusedLookup
	}
}

// known returns what is remembered of a key, and nothing if the service has to be asked; r.mu is locked.
func (r *apiKeyResolver) known(digest keyDigest) (*apiKeyGrant, *Refusal) {
	now := r.clock()
	if grant, found := r.grants.get(digest); found {
		switch grant.state(r.trust.revoked, now) {
		case grantUsable:
			return grant, nil
		case grantEnded:
			r.grants.remove(digest)
			r.invalid.add(digest, now.monotonicNs+int64(invalidKept))
		case grantOutdated:
			r.grants.remove(digest)
		}
	}
	if until, found := r.invalid.get(digest); found {
		if now.monotonicNs < until {
			return nil, refusedAPIKey
		}
		r.invalid.remove(digest)
	}
	return nil, nil
}

var (
	errKeyInvalid = errors.New("the API key is not valid")
	errNoToken    = errors.New("the verifier got no token for itself a moment ago")
)

// lookUp asks the service. It has no caller's context: neither its end, nor the metadata that it has for another service.
func (r *apiKeyResolver) lookUp(digest keyDigest, pending *lookup) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	grant, err := r.askInTurn(ctx, digest)
	r.mu.Lock()
	defer r.mu.Unlock()
	defer close(pending.done)
	delete(r.lookups, digest)
	now := r.clock().monotonicNs
	switch {
	case err == nil:
		pending.grant = grant
		r.grants.add(digest, grant)
	case errors.Is(err, errKeyInvalid):
		pending.refused = refusedAPIKey
		r.invalid.add(digest, now+int64(invalidKept))
	default:
		pending.refused = refusedLookup
		if now >= r.silentUntilNs {
			r.silentUntilNs = now + int64(lookupLogs)
			r.logger.Warn("postern: an API key cannot be looked up", "error", err)
		}
	}
}

// askInTurn asks until the answer is not older than what the stream has said.
func (r *apiKeyResolver) askInTurn(ctx context.Context, digest keyDigest) (*apiKeyGrant, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%d other keys are being looked up: %w", maxLookups, ctx.Err())
	}
	for {
		grant, err := r.ask(ctx, digest)
		if err != nil {
			return nil, err
		}
		switch grant.state(r.trust.revoked, r.clock()) {
		case grantUsable:
			return grant, nil
		case grantEnded:
			return nil, errKeyInvalid
		}
		select {
		case <-time.After(askAgainPause):
		case <-ctx.Done():
			return nil, fmt.Errorf("the service answers with what it has revoked itself: %w", ctx.Err())
		}
	}
}

func (r *apiKeyResolver) ask(ctx context.Context, digest keyDigest) (*apiKeyGrant, error) {
	token := ""
	if r.credential != nil {
		if r.clock().monotonicNs < r.noTokenUntilNs.Load() {
			return nil, errNoToken
		}
		var err error
		if token, _, err = r.credential.next(ctx); err != nil {
			r.noTokenUntilNs.Store(r.clock().monotonicNs + int64(pauseWithoutToken))
			return nil, err
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	askedAt := r.clock()
	answer, err := r.client.ResolveApiKey(ctx, &posternpb.ResolveApiKeyRequest{KeySha256: digest[:]})
	switch status.Code(err) {
	case codes.OK:
	case codes.NotFound:
		return nil, errKeyInvalid
	case codes.Unauthenticated:
		if r.credential != nil && refusesToken(err) {
			r.credential.forget(token)
		}
		return nil, err
	default:
		return nil, explain(err)
	}
	current := r.trust.view.Load()
	if current == nil {
		return nil, errors.New("there are no keys of the service yet")
	}
	return grantOf(answer, current.rules.issuer, askedAt)
}

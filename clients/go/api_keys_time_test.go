package postern

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"postern.example/clients/go/internal/trusttest"
	"postern.example/clients/go/posternpb"
)

// answers is a service that counts questions and answers all of them alike.
type answers struct {
	posternpb.TrustServiceClient
	grant *posternpb.ApiKeyGrant
	asked int
}

func (a *answers) ResolveApiKey(context.Context, *posternpb.ResolveApiKeyRequest, ...grpc.CallOption) (*posternpb.ApiKeyGrant, error) {
	a.asked++
	if a.grant == nil {
		return nil, status.Error(codes.NotFound, "there is none")
	}
	return a.grant, nil
}

// resolverAt has a clock of its own.
func resolverAt(t *testing.T, now *instant) (*apiKeyResolver, *answers) {
	t.Helper()
	v := &Verifier{trust: newTrust(), clock: func() instant { return *now }, logger: slog.New(slog.DiscardHandler)}
	v.trust.replace(keyRing{}, policy{issuer: "https://auth.example"})
	r, service := newAPIKeyResolver(nil, nil, v), &answers{}
	r.client = service
	return r, service
}

// Q35. An answer is used for max_age, by both clocks, and not beyond the end of the key.
func TestTimeOfAnAnswer(t *testing.T) {
	const second = int64(time.Second)
	grant := &posternpb.ApiKeyGrant{Id: "key", Subject: "user", SubjectType: posternpb.SubjectType_USER, MaxAge: 60}
	expiring := &posternpb.ApiKeyGrant{
		Id: "key", Subject: "user", SubjectType: posternpb.SubjectType_USER, MaxAge: 60, ExpiresAt: timestamppb.New(time.Unix(1_020, 0)),
	}
	start := instant{1_000 * second, 0}
	for name, test := range map[string]struct {
		answer  *posternpb.ApiKeyGrant
		at      instant
		asked   int
		refused *Refusal
	}{
		"just before the end of max_age":  {grant, instant{1_059 * second, 59 * second}, 1, nil},
		"after max_age":                   {grant, instant{1_060 * second, 60 * second}, 2, nil},
		"after the machine has slept":     {grant, instant{9_000 * second, second}, 2, nil},
		"after the clock was set back":    {grant, instant{0, 60 * second}, 2, nil},
		"before the key expires":          {expiring, instant{1_019 * second, 19 * second}, 1, nil},
		"after the key has expired":       {expiring, instant{1_020 * second, 20 * second}, 1, refusedAPIKey},
		"an invalid key within ten":       {nil, instant{1_009 * second, 9 * second}, 1, refusedAPIKey},
		"an invalid key after ten":        {nil, instant{1_010 * second, 10 * second}, 2, refusedAPIKey},
		"an invalid key, clock set ahead": {nil, instant{9_000 * second, 9 * second}, 1, refusedAPIKey},
	} {
		now := start
		r, service := resolverAt(t, &now)
		service.grant = test.answer
		if _, refused := r.resolve(t.Context(), keyDigest{}); (refused == nil) != (test.answer != nil) {
			t.Fatalf("%s: %v at first", name, refused)
		}
		now = test.at
		if _, refused := r.resolve(t.Context(), keyDigest{}); refused != test.refused || service.asked != test.asked {
			t.Errorf("%s: %v, asked %d times", name, refused, service.asked)
		}
	}
}

// Q36. A revocation that comes between the answer and the one who waited for it counts.
func TestRevokedWhileWaiting(t *testing.T) {
	grant := &posternpb.ApiKeyGrant{Id: "key", RevocationId: "state", Subject: "user", SubjectType: posternpb.SubjectType_USER, MaxAge: 60}
	for id, expected := range map[string]*Refusal{"key": refusedAPIKey, "state": refusedLookup, "another": nil} {
		now := instant{}
		r, _ := resolverAt(t, &now)
		answered, err := grantOf(grant, "https://auth.example", now)
		if err != nil {
			t.Fatal(err)
		}
		pending := &lookup{done: make(chan struct{}), grant: answered}
		close(pending.done)
		r.lookups[keyDigest{}] = pending
		r.trust.revoke([]*posternpb.Revocation{{Revoked: &posternpb.Revocation_TokenId{TokenId: id}, ExpiresAt: 1_000}})
		if _, refused := r.resolve(t.Context(), keyDigest{}); refused != expected {
			t.Errorf("%s: %v", id, refused)
		}
	}
}

// Q37. Invented keys evict no valid one, and neither kind takes more memory than ten thousand.
func TestMemoryOfAPIKeys(t *testing.T) {
	now := instant{}
	r, service := resolverAt(t, &now)
	digest := func(number int) (digest keyDigest) {
		copy(digest[:], strconv.Itoa(number))
		return digest
	}
	service.grant = &posternpb.ApiKeyGrant{Id: "key", Subject: "user", SubjectType: posternpb.SubjectType_USER, MaxAge: 60}
	valid := digest(-1)
	if _, refused := r.resolve(t.Context(), valid); refused != nil {
		t.Fatal(refused)
	}
	service.grant = nil
	for number := range maxAPIKeys + 100 {
		_, _ = r.resolve(t.Context(), digest(number))
	}
	if _, refused := r.resolve(t.Context(), valid); refused != nil {
		t.Error("a valid key was evicted")
	}
	service.grant, service.asked = &posternpb.ApiKeyGrant{Id: "key", Subject: "user", SubjectType: posternpb.SubjectType_USER, MaxAge: 60}, 0
	for number := range maxAPIKeys + 100 {
		_, _ = r.resolve(t.Context(), digest(1_000_000+number))
		// It is used all the time.
		_, _ = r.resolve(t.Context(), valid)
	}
	if service.asked != maxAPIKeys+100 {
		t.Errorf("a key in use was evicted, and asked for %d times", service.asked-maxAPIKeys-100)
	}
	if len(r.grants.entries) != maxAPIKeys || r.grants.order.Len() != maxAPIKeys || len(r.invalid.entries) != maxAPIKeys || len(r.lookups) != 0 {
		t.Errorf("%d valid, %d invalid, %d pending", len(r.grants.entries), len(r.invalid.entries), len(r.lookups))
	}
}

// slowService answers when it is released, and counts the questions in progress.
type slowService struct {
	posternpb.TrustServiceClient
	release        chan struct{}
	open, mostOpen atomic.Int32
}

func (s *slowService) ResolveApiKey(context.Context, *posternpb.ResolveApiKeyRequest, ...grpc.CallOption) (*posternpb.ApiKeyGrant, error) {
	open := s.open.Add(1)
	defer s.open.Add(-1)
	for most := s.mostOpen.Load(); open > most && !s.mostOpen.CompareAndSwap(most, open); most = s.mostOpen.Load() {
	}
	<-s.release
	return nil, status.Error(codes.NotFound, "there is none")
}

// Q37. However many keys come, 64 are asked for at a time.
func TestLookupsAtATime(t *testing.T) {
	now := instant{}
	r, _ := resolverAt(t, &now)
	service := &slowService{release: make(chan struct{})}
	r.client = service
	for range 2 * maxLookups {
		digest, _ := digestOfAPIKey(trusttest.NewAPIKey())
		if _, refused := r.resolve(noWait, digest); refused != refusedLookup {
			t.Fatal(refused)
		}
	}
	trusttest.Until(t, "as many as may be are asked for", func() bool { return service.open.Load() == maxLookups })
	close(service.release)
	trusttest.Until(t, "all are answered", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.lookups) == 0
	})
	if most := service.mostOpen.Load(); most != maxLookups {
		t.Errorf("%d at a time", most)
	}
}

// noTokens counts how often it is asked.
type noTokens struct{ asked int }

func (n *noTokens) next(context.Context) (string, int64, error) {
	n.asked++
	return "", 0, errors.New("the service account is gone")
}

func (n *noTokens) forget(string) {}

// Q37. Invented keys do not become a flood of failed requests for a token.
func TestLookupsWithoutAToken(t *testing.T) {
	now := instant{}
	r, service := resolverAt(t, &now)
	credential := &noTokens{}
	r.credential = credential
	for second := range 3 {
		now = instant{monotonicNs: int64(second) * int64(pauseWithoutToken)}
		for range 100 {
			digest, _ := digestOfAPIKey(trusttest.NewAPIKey())
			if _, refused := r.resolve(t.Context(), digest); refused != refusedLookup {
				t.Fatal(refused)
			}
		}
	}
	if credential.asked != 3 || service.asked != 0 {
		t.Errorf("%d requests for a token, %d for a key", credential.asked, service.asked)
	}
}

// A verifier that could not know of a revocation asks nothing.
func TestStaleVerifierDoesNotAsk(t *testing.T) {
	now := instant{}
	r, service := resolverAt(t, &now)
	v := &Verifier{trust: r.trust, clock: r.clock, maxStaleness: int64(time.Second), apiKeys: r}
	if _, err := v.VerifyContext(t.Context(), trusttest.NewAPIKey(), Require{}); err != refusedStale || service.asked != 0 {
		t.Errorf("%v, asked %d times", err, service.asked)
	}
}

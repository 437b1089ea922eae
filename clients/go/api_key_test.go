package postern_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	postern "postern.example/clients/go"
	"postern.example/clients/go/internal/trusttest"
	"postern.example/clients/go/posternpb"
)

func keyVerdict(ctx context.Context, v *postern.Verifier, key string) postern.Reason {
	_, err := v.VerifyContext(ctx, key, postern.Require{})
	return reasonIn(err)
}

func reasonIn(err error) postern.Reason {
	var refused *postern.Refusal
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return ""
}

func lookups(service *trusttest.Service) int {
	count, _ := service.Lookups()
	return count
}

// Q35. One question for a hundred callers, and none afterwards.
func TestAPIKeyIsLookedUpOnce(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	v := readyVerifier(t, service, postern.WithServiceAccount("orders", "secret"))
	key, grant := trusttest.NewAPIKey(), trusttest.APIKeyGrant()
	grant.ExternalId = "42"
	grant.ExpiresAt = timestamppb.New(time.Now().Add(time.Hour))
	service.SetAPIKey(key, grant)
	release := service.HoldLookups()
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			if reason := keyVerdict(t.Context(), v, key); reason != "" {
				t.Error(reason)
			}
		})
	}
	trusttest.Until(t, "the key is looked up", func() bool { return lookups(service) > 0 })
	release()
	group.Wait()

	claims, err := v.Verify(key, postern.Require{Audience: trusttest.Audience, Roles: []string{"editor"}})
	if err != nil {
		t.Fatal(err)
	}
	if claims.Subject != "7f3c" || claims.SubjectType != postern.SubjectUser || claims.TokenID != grant.GetId() ||
		claims.SessionID != "" || claims.ClientID != "" || claims.ExternalID != "42" || claims.Issuer != trusttest.Issuer ||
		!slices.Equal(claims.Audience, []string{trusttest.Audience}) || !claims.ExpiresAt.Equal(grant.GetExpiresAt().AsTime()) ||
		!claims.IssuedAt.Equal(grant.GetCreatedAt().AsTime()) || claims.CredentialKind != postern.CredentialAPIKey {
		t.Errorf("%+v", claims)
	}
	if _, err := v.Verify(key, postern.Require{Roles: []string{"admin"}}); reasonIn(err) != postern.ReasonRoleMissing {
		t.Error(err)
	}
	if _, err := v.Verify(key, postern.Require{Audience: "billing"}); reasonIn(err) != postern.ReasonTokenClaimsInvalid {
		t.Error(err)
	}
	if count := lookups(service); count != 1 {
		t.Errorf("%d look-ups", count)
	}
	if bearers := service.LookupBearers(); !slices.Equal(bearers, []string{"Bearer token-1"}) {
		t.Errorf("the look-up sent %q", bearers)
	}
	token, err := v.Verify(service.Key.Token(t, "mine", nil), postern.Require{})
	if err != nil || token.CredentialKind != postern.CredentialAccessToken {
		t.Errorf("%+v, %v", token, err)
	}
}

func TestAPIKeyOfAServiceAccount(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	v := readyVerifier(t, service)
	key, grant := trusttest.NewAPIKey(), trusttest.APIKeyGrant()
	grant.SubjectType, grant.SubjectName = posternpb.SubjectType_SERVICE, "billing"
	service.SetAPIKey(key, grant)
	claims, err := v.VerifyContext(t.Context(), key, postern.Require{})
	if err != nil || claims.SubjectType != postern.SubjectService || claims.ClientID != "7f3c" || claims.SubjectName != "billing" || !claims.ExpiresAt.IsZero() {
		t.Errorf("%+v, %v", claims, err)
	}
	// A newer kind of subject, or an answer without one, is no grant.
	for _, change := range []func(*posternpb.ApiKeyGrant){
		func(g *posternpb.ApiKeyGrant) { g.SubjectType = 7 },
		func(g *posternpb.ApiKeyGrant) { g.Subject = "" },
		func(g *posternpb.ApiKeyGrant) { g.Id = "a\nb" },
	} {
		unusable, grant := trusttest.NewAPIKey(), trusttest.APIKeyGrant()
		change(grant)
		service.SetAPIKey(unusable, grant)
		if reason := keyVerdict(t.Context(), v, unusable); reason != postern.ReasonTrustStale {
			t.Error(reason)
		}
	}
	// Postern accepts another audience here than this verifier knows yet.
	other, elsewhere := trusttest.NewAPIKey(), trusttest.APIKeyGrant()
	elsewhere.Audience = "unknown"
	service.SetAPIKey(other, elsewhere)
	if reason := keyVerdict(t.Context(), v, other); reason != postern.ReasonAPIKeyInvalid {
		t.Error(reason)
	}
}

// Q36. Two verifiers refuse a key as soon as the stream revokes it, and ask again when the key or its owner has changed.
func TestRevokedAPIKey(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	verifiers := []*postern.Verifier{readyVerifier(t, service), readyVerifier(t, service)}
	key, grant := trusttest.NewAPIKey(), trusttest.APIKeyGrant()
	service.SetAPIKey(key, grant)
	rolesAt := func(v *postern.Verifier) []string {
		claims, err := v.VerifyContext(t.Context(), key, postern.Require{})
		if err != nil {
			t.Fatal(err)
		}
		return claims.Roles
	}
	for _, v := range verifiers {
		if roles := rolesAt(v); !slices.Equal(roles, []string{"editor"}) {
			t.Error(roles)
		}
	}
	before := grant.GetRevocationId()
	grant.Roles, grant.RevocationId = nil, trusttest.APIKeyGrant().GetRevocationId()
	service.SetAPIKey(key, grant)
	service.Revoke(trusttest.RevokeID(before))
	for _, v := range verifiers {
		trusttest.Until(t, "the key has lost its role", func() bool { return len(rolesAt(v)) == 0 })
	}
	asked := lookups(service)
	if asked != 4 {
		t.Errorf("%d look-ups", asked)
	}
	// The instance that answers look-ups does not know yet what the stream has said.
	service.Revoke(trusttest.RevokeID(grant.GetId()))
	for _, v := range verifiers {
		trusttest.Until(t, "the key is refused", func() bool { return keyVerdict(t.Context(), v, key) == postern.ReasonAPIKeyInvalid })
		if reason := verdict(v, key); reason != postern.ReasonAPIKeyInvalid {
			t.Error(reason)
		}
	}
	late := readyVerifier(t, service)
	if reason := keyVerdict(t.Context(), late, key); reason != postern.ReasonAPIKeyInvalid {
		t.Errorf("a verifier that comes later says %q", reason)
	}
	if count := lookups(service); count != asked+1 {
		t.Errorf("%d look-ups in place of %d", count, asked+1)
	}
}

// Q36. An answer from an instance that is behind the stream is not used: the verifier asks until it is newer.
func TestAnswerBehindTheStream(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	v := readyVerifier(t, service)
	key, grant := trusttest.NewAPIKey(), trusttest.APIKeyGrant()
	service.SetAPIKey(key, grant)
	service.Revoke(trusttest.RevokeID(grant.GetRevocationId()))
	trusttest.Until(t, "the change is known", func() bool { return v.State().Revocations == 1 })
	done := make(chan postern.Reason)
	go func() { done <- keyVerdict(t.Context(), v, key) }()
	trusttest.Until(t, "the verifier asks again", func() bool { return lookups(service) >= 2 })
	grant.RevocationId = trusttest.APIKeyGrant().GetRevocationId()
	service.SetAPIKey(key, grant)
	if reason := <-done; reason != "" {
		t.Error(reason)
	}
}

// Q36. Without the service a known key counts as long as a token does; one that is not known is no verdict.
func TestAPIKeysWithoutTheService(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	log := &bytes.Buffer{}
	v := readyVerifier(t, service, postern.WithMaxStaleness(2*time.Second), postern.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
	known, other := trusttest.NewAPIKey(), trusttest.NewAPIKey()
	service.SetAPIKey(known, trusttest.APIKeyGrant())
	service.SetAPIKey(other, trusttest.APIKeyGrant())
	if reason := keyVerdict(t.Context(), v, known); reason != "" {
		t.Fatal(reason)
	}
	service.FailLookups(status.Error(codes.PermissionDenied, "not a service account"))
	for range 2 {
		_, err := v.VerifyContext(t.Context(), other, postern.Require{})
		var refused *postern.Refusal
		if !errors.As(err, &refused) || refused.Reason != postern.ReasonTrustStale || refused.RetryAfter == 0 {
			t.Error(err)
		}
	}
	service.Stop()
	if reason := keyVerdict(t.Context(), v, known); reason != "" {
		t.Errorf("%s before keys and revocations are too old", reason)
	}
	if reason := keyVerdict(t.Context(), v, other); reason != postern.ReasonTrustStale {
		t.Error(reason)
	}
	trusttest.Until(t, "keys and revocations are too old", func() bool { return keyVerdict(t.Context(), v, known) == postern.ReasonTrustStale })
	v.Close()
	text := log.String()
	if strings.Count(text, "an API key cannot be looked up") != 1 || !strings.Contains(text, "not a service account") {
		t.Errorf("logged: %s", text)
	}
	for _, key := range []string{known, other} {
		if strings.Contains(text, key) {
			t.Error("the log has a key")
		}
	}
}

// A call that ends does not wait for a service that does not answer, and the next one finds the answer.
func TestVerifyDoesNotWait(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	v := readyVerifier(t, service)
	key := trusttest.NewAPIKey()
	service.SetAPIKey(key, trusttest.APIKeyGrant())
	release := service.HoldLookups()
	if reason := verdict(v, key); reason != postern.ReasonTrustStale {
		t.Error(reason)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if reason := keyVerdict(ctx, v, key); reason != postern.ReasonTrustStale {
		t.Error(reason)
	}
	release()
	trusttest.Until(t, "the key is known", func() bool { return verdict(v, key) == "" })
	if count := lookups(service); count != 1 {
		t.Errorf("%d look-ups", count)
	}
}

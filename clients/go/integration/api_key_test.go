package integration

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	postern "postern.example/clients/go"
	"postern.example/clients/go/internal/trusttest"
	"postern.example/clients/go/posternpb"
)

// createKey makes an API key of an owner and returns the key and its id.
func (c *cluster) createKey(t *testing.T, name string, arguments ...string) (key, id string) {
	t.Helper()
	var created struct{ ID, Secret string }
	c.run(t, &created, "", append([]string{"api-key", "create", name, "--json"}, arguments...)...)
	return created.Secret, created.ID
}

// ownKey makes an API key of the user whose access token it is.
func (i *instance) ownKey(t *testing.T, token string, number int) string {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	created, err := i.auth.CreateApiKey(ctx, &posternpb.CreateApiKeyRequest{Name: fmt.Sprint("key ", number), Roles: []string{"editor"}})
	if err != nil {
		t.Fatal(err)
	}
	return created.GetSecret()
}

func keyReason(t *testing.T, v *postern.Verifier, key, address string) postern.Reason {
	t.Helper()
	client, _ := netip.ParseAddr(address)
	_, err := v.VerifyContext(postern.WithClientAddress(t.Context(), client), key, postern.Require{})
	return reasonIn(err)
}

// Q35, Q38. Verifiers of two instances and the service itself say the same of an API key.
func TestAPIKeysOfTheService(t *testing.T) {
	c := startCluster(t)
	second := c.other(t, c.sockets())
	verifiers := []*postern.Verifier{c.verifier(t, c.first.GRPC), c.verifier(t, second.GRPC)}
	key, id := c.createKey(t, "nightly", "--email", email, "--role", "editor")
	inside, _ := c.createKey(t, "inside", "--service", "orders", "--network", "192.0.2.0/24", "--never")
	told, err := c.first.auth.VerifyToken(t.Context(), &posternpb.VerifyTokenRequest{AccessToken: key})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verifiers {
		claims, err := v.VerifyContext(t.Context(), key, postern.Require{Audience: "postern", Roles: []string{"editor"}})
		if err != nil {
			t.Fatal(err)
		}
		if claims.TokenID != id || claims.TokenID != told.GetTokenId() || claims.Subject != told.GetSubject() || claims.SubjectType != postern.SubjectUser ||
			claims.Issuer != told.GetIssuer() || claims.SessionID != told.GetSessionId() || !slices.Equal(claims.Roles, told.GetRoles()) ||
			!claims.ExpiresAt.Equal(told.GetExpiresAt().AsTime()) || !claims.IssuedAt.Equal(told.GetIssuedAt().AsTime()) {
			t.Errorf("%+v in place of %+v", claims, told)
		}
		for address, expected := range map[string]postern.Reason{
			"192.0.2.9": "", "192.0.3.9": postern.ReasonAPIKeyInvalid, "": postern.ReasonAPIKeyInvalid,
		} {
			if reason := keyReason(t, v, inside, address); reason != expected {
				t.Errorf("from %q: %q", address, reason)
			}
		}
		service, err := v.VerifyContext(postern.WithClientAddress(t.Context(), netip.MustParseAddr("192.0.2.9")), inside, postern.Require{})
		if err != nil || service.Subject != c.clientID || service.ClientID != c.clientID || service.SubjectName != "orders" || !service.ExpiresAt.IsZero() {
			t.Errorf("%+v, %v", service, err)
		}
		if reason := keyReason(t, v, trusttest.NewAPIKey(), "192.0.2.9"); reason != postern.ReasonAPIKeyInvalid {
			t.Errorf("an unknown key: %q", reason)
		}
	}

	// Rotated: both are valid for the overlap. Then the owner loses the role, and is disabled at last.
	var rotated struct{ Secret string }
	c.run(t, &rotated, "", "api-key", "rotate", id, "--json")
	for _, v := range verifiers {
		for _, valid := range []string{key, rotated.Secret} {
			if reason := keyReason(t, v, valid, ""); reason != "" {
				t.Errorf("after the rotation: %q", reason)
			}
		}
	}
	c.run(t, nil, "", "user", "set-role", "--email", email, "--none")
	for _, v := range verifiers {
		trusttest.Until(t, "the key has lost its role", func() bool {
			claims, err := v.VerifyContext(t.Context(), key, postern.Require{})
			return err == nil && len(claims.Roles) == 0
		})
	}
	c.run(t, nil, "", "user", "disable", "--email", email)
	for _, v := range verifiers {
		for _, ended := range []string{key, rotated.Secret} {
			trusttest.Until(t, "the key has ended with its owner", func() bool { return keyReason(t, v, ended, "") == postern.ReasonAPIKeyInvalid })
		}
	}
}

// Q36. From the answer of RevokeToken on, verifiers of two instances refuse the key, as they do a token.
func TestDelayOfRevokedAPIKeys(t *testing.T) {
	c := startCluster(t)
	second := c.other(t, c.sockets())
	verifiers := map[string]*postern.Verifier{"near": c.verifier(t, c.first.GRPC), "far": c.verifier(t, second.GRPC)}
	delays := map[string][]time.Duration{}
	token := c.first.login(t).GetAccessToken()
	// An owner can have 500 keys, with those that were revoked lately.
	for number := range min(revokes(), 450) {
		key := c.first.ownKey(t, token, number)
		for name, v := range verifiers {
			if reason := keyReason(t, v, key, ""); reason != "" {
				t.Fatalf("%s: %q", name, reason)
			}
		}
		c.first.revoke(t, key)
		for name, delay := range untilRevoked(t, key, postern.ReasonAPIKeyInvalid, time.Now(), verifiers) {
			delays[name] = append(delays[name], delay)
		}
	}
	judgeDelays(t, delays)
}

package postern_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	postern "postern.example/clients/go"
	"postern.example/clients/go/internal/trusttest"
)

func newVerifier(t testing.TB, service *trusttest.Service, with ...postern.Option) *postern.Verifier {
	t.Helper()
	v, err := postern.NewVerifier(t.Context(), postern.Upstream{Address: service.Address}, with...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func readyVerifier(t testing.TB, service *trusttest.Service, with ...postern.Option) *postern.Verifier {
	t.Helper()
	v := newVerifier(t, service, with...)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return v
}

func verdict(v *postern.Verifier, token string) postern.Reason {
	_, err := v.Verify(token, postern.Require{})
	var refused *postern.Refusal
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return ""
}

func TestRevocationAndRotation(t *testing.T) {
	service := trusttest.Start(t)
	v := readyVerifier(t, service)
	first := service.Key.Token(t, "first", nil)
	if reason := verdict(v, first); reason != "" {
		t.Fatal(reason)
	}
	service.Revoke(trusttest.Session("first"))
	trusttest.Until(t, "it is revoked", func() bool { return verdict(v, first) == postern.ReasonTokenRevoked })

	other := trusttest.NewKey(t)
	token := other.Token(t, "second", nil)
	if reason := verdict(v, token); reason != postern.ReasonTokenKeyUnknown {
		t.Error(reason)
	}
	service.SetKeys(trusttest.JWKS(other))
	trusttest.Until(t, "the new key counts", func() bool { return verdict(v, token) == "" })
	if reason := verdict(v, service.Key.Token(t, "third", nil)); reason != postern.ReasonTokenKeyUnknown {
		t.Error(reason)
	}
}

func TestLostService(t *testing.T) {
	service := trusttest.Start(t)
	v := readyVerifier(t, service, postern.WithMaxStaleness(2*time.Second))
	token := service.Key.Token(t, "mine", nil)
	service.Stop()
	trusttest.Until(t, "the loss is known", func() bool { return !v.State().Connected })
	if reason := verdict(v, token); reason != "" {
		t.Errorf("%s before keys and revocations are too old", reason)
	}
	trusttest.Until(t, "keys and revocations are too old", func() bool { return verdict(v, token) == postern.ReasonTrustStale })
	if state := v.State(); state.Status != postern.StatusStale || state.Err == nil {
		t.Errorf("%+v", state)
	}
	service.Revoke(trusttest.Session("mine"))
	service.Listen(t, service.Address)
	trusttest.Until(t, "what was missed is known", func() bool { return verdict(v, token) == postern.ReasonTokenRevoked })
	cursors, _, _ := service.Seen()
	if cursors[0] != "" || cursors[len(cursors)-1] != "0" {
		t.Errorf("the cursors are %q", cursors)
	}
}

func TestStreamEndsWithoutALoss(t *testing.T) {
	service := trusttest.Start(t)
	v := readyVerifier(t, service)
	token := service.Key.Token(t, "mine", nil)
	for range 5 {
		before := len(must(service.Seen()))
		service.EndStreams(status.Error(codes.ResourceExhausted, "too slow"))
		trusttest.Until(t, "a new stream", func() bool { return len(must(service.Seen())) > before && v.State().Connected })
		if reason := verdict(v, token); reason != "" {
			t.Error(reason)
		}
	}
}

func must(cursors, _ []string, _ int) []string { return cursors }

func TestServiceAccount(t *testing.T) {
	service := trusttest.Start(t)
	service.SetLifetime(1)
	v := readyVerifier(t, service, postern.WithServiceAccount("orders", "secret"))
	token := service.Key.Token(t, "mine", nil)
	trusttest.Until(t, "the stream is replaced before its token expires", func() bool {
		if reason := verdict(v, token); reason != "" || !v.State().Connected {
			t.Fatalf("%s %+v", reason, v.State())
		}
		_, bearers, _ := service.Seen()
		return len(bearers) >= 3 && bearers[2] == "Bearer token-3" && service.Open() == 1
	})
}

func TestRefusedCredential(t *testing.T) {
	service := trusttest.Start(t)
	service.Refuse(status.Error(codes.Unauthenticated, "the key was revoked"))
	v := newVerifier(t, service, postern.WithServiceAccount("orders", "secret"))
	trusttest.Until(t, "a token refused after its first second is replaced", func() bool {
		_, _, issued := service.Seen()
		return issued >= 2
	})
	service.Refuse(nil)
	trusttest.Until(t, "it is ready", func() bool { return v.State().Status == postern.StatusReady })
}

func TestReadyNamesTheCause(t *testing.T) {
	service := trusttest.Start(t)
	cases := map[string]struct {
		cause string
		with  []postern.Option
		jwks  string
	}{
		"wrong secret": {"the service account got no token", []postern.Option{postern.WithServiceAccount("orders", "wrong")}, ""},
		"no keys":      {"POSTERN_ALGORITHM=HS256", nil, `{"keys":[]}`},
		"bad key":      {"alg must be ES256", nil, `{"keys":[{"kty":"oct"}]}`},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			service.SetKeys(trusttest.JWKS(service.Key))
			if test.jwks != "" {
				service.SetKeys(test.jwks)
			}
			v := newVerifier(t, service, test.with...)
			trusttest.Until(t, "the cause is known", func() bool { return v.State().Err != nil })
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			err := v.Ready(ctx)
			if err == nil || !strings.Contains(err.Error(), test.cause) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			if reason := verdict(v, "a.b.c"); reason != postern.ReasonTrustStale {
				t.Error(reason)
			}
		})
	}
}

func TestAddressesThatCannotWork(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// As a listener with TLS does with plaintext.
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_ = connection.Close()
		}
	}()
	defer listener.Close()
	account := postern.WithServiceAccount("orders", "secret")
	for address, cause := range map[string]string{
		"dns:///misspelt.invalid:50051": "the name of the upstream has no address",
		listener.Addr().String():        "the upstream is no gRPC listener without TLS",
	} {
		for _, with := range [][]postern.Option{nil, {account}} {
			v, err := postern.NewVerifier(t.Context(), postern.Upstream{Address: address, Insecure: true}, with...)
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			trusttest.Until(t, cause, func() bool { err := v.State().Err; return err != nil && strings.Contains(err.Error(), cause) })
		}
	}
}

func TestSilentStream(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	t.Parallel()
	service := trusttest.Start(t)
	service.BeSilent(true)
	v := newVerifier(t, service)
	trusttest.Until(t, "the stream is open", func() bool { return service.Open() == 1 })
	service.BeSilent(false)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		t.Error(err)
	}
}

func TestMisuse(t *testing.T) {
	source := postern.WithTokenSource(nil)
	for address, with := range map[string][]postern.Option{
		"":                       nil,
		"localhost":              nil,
		"localhost:":             nil,
		"dns:///auth.example:1":  nil,
		"192.0.2.1:50051":        nil,
		"127.0.0.1:1":            {postern.WithMaxStaleness(0)},
		"127.0.0.1:2":            {postern.WithCacheBytes(-1)},
		"127.0.0.1:3":            {postern.WithServiceAccount("", "x")},
		"127.0.0.1:4":            {postern.WithServiceAccount("x", "y"), source},
		"unix:":                  nil,
		"unix:a":                 {postern.WithLogger(nil)},
		"passthrough:///a.b:123": nil,
	} {
		v, err := postern.NewVerifier(t.Context(), postern.Upstream{Address: address}, with...)
		if err == nil {
			v.Close()
			t.Errorf("%q was accepted", address)
		}
	}
}

// Nobody reports revocations to a verifier that was closed, or whose context has ended.
func TestEndedVerifierRefuses(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	canceled, err := postern.NewVerifier(ctx, postern.Upstream{Address: service.Address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(canceled.Close)
	server := startKeySetServer(t, serveKeys(nil, service.Key))
	token := service.Key.Token(t, "s", nil)
	for name, v := range map[string]*postern.Verifier{
		"closed": newVerifier(t, service), "closed key set": jwksVerifier(t, server.URL), "canceled": canceled,
	} {
		if err := v.Ready(t.Context()); err != nil {
			t.Fatal(name, err)
		}
		if _, err := v.Verify(token, postern.Require{}); err != nil {
			t.Fatal(name, err)
		}
		if v == canceled {
			cancel()
			trusttest.Until(t, "the end is known", func() bool { return v.State().Status == postern.StatusWaiting })
		} else {
			v.Close()
		}
		for _, text := range []string{token, service.Key.Token(t, "s", nil), "a.b.c"} {
			_, err := v.Verify(text, postern.Require{})
			var refusal *postern.Refusal
			if !errors.As(err, &refusal) || refusal.Reason != postern.ReasonTrustStale || !strings.Contains(refusal.Detail, "closed") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

package grpcauth_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	postern "postern.example/clients/go"
	"postern.example/clients/go/grpcauth"
	"postern.example/clients/go/internal/trusttest"
)

// whoami answers with the caller: its status is SERVING for one, NOT_SERVING for none.
type whoami struct {
	grpc_health_v1.UnimplementedHealthServer
	callers chan *postern.Claims
}

func (w *whoami) answer(ctx context.Context) *grpc_health_v1.HealthCheckResponse {
	caller, ok := postern.CallerFrom(ctx)
	w.callers <- caller
	if ok {
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}
}

func (w *whoami) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return w.answer(ctx), nil
}

func (w *whoami) Watch(_ *grpc_health_v1.HealthCheckRequest, stream grpc_health_v1.Health_WatchServer) error {
	return stream.Send(w.answer(stream.Context()))
}

const (
	check = "/grpc.health.v1.Health/Check"
	watch = "/grpc.health.v1.Health/Watch"
)

func serve(t *testing.T, v *postern.Verifier, rules grpcauth.Rules) (grpc_health_v1.HealthClient, *whoami) {
	t.Helper()
	grpcauth.MustMatch(healthServer(), rules)
	return serveWith(t, grpcauth.ServerOptions(v, rules))
}

// healthServer is a server that has the methods of serveWith.
func healthServer() *grpc.Server {
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, &whoami{})
	return server
}

func serveWith(t *testing.T, options []grpc.ServerOption) (grpc_health_v1.HealthClient, *whoami) {
	t.Helper()
	server := grpc.NewServer(options...)
	service := &whoami{callers: make(chan *postern.Claims, 10)}
	grpc_health_v1.RegisterHealthServer(server, service)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return grpc_health_v1.NewHealthClient(connection), service
}

func verifier(t *testing.T) (*postern.Verifier, *trusttest.Service) {
	t.Helper()
	service := trusttest.Start(t)
	v, err := postern.NewVerifier(t.Context(), postern.Upstream{Address: service.Address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return v, service
}

// V06, G11.
func TestUnaryAndStream(t *testing.T) {
	v, postern1 := verifier(t)
	good := "Bearer " + postern1.Key.Token(t, "mine", nil)
	acting := func(name string) string {
		before := map[string]any{"sub": "01", "name": "support"}
		return "Bearer " + postern1.Key.Token(t, "mine", map[string]any{"act": map[string]any{"sub": "02", "name": name, "act": before}})
	}
	nameless := "Bearer " + postern1.Key.Token(t, "mine", map[string]any{"act": map[string]any{"sub": "support"}})
	key := "Bearer " + trusttest.NewAPIKey()
	postern1.SetAPIKey(key[7:], trusttest.APIKeyGrant())
	support := grpcauth.Rule{Actors: []string{"billing", "support"}}
	cases := []struct {
		name   string
		rule   grpcauth.Rule
		values []string
		code   codes.Code
		reason string
		caller bool
	}{
		{"a good token", grpcauth.Rule{}, []string{good}, codes.OK, "", true},
		{"another spelling of the scheme", grpcauth.Rule{}, []string{"bearer" + good[6:]}, codes.OK, "", true},
		{"none", grpcauth.Rule{}, nil, codes.Unauthenticated, "CREDENTIALS_MISSING", false},
		{"another scheme", grpcauth.Rule{}, []string{"Basic YTpi"}, codes.Unauthenticated, "CREDENTIALS_MISSING", false},
		{"two", grpcauth.Rule{}, []string{good, good}, codes.Unauthenticated, "TOKEN_MALFORMED", false},
		{"junk", grpcauth.Rule{}, []string{"Bearer junk"}, codes.Unauthenticated, "TOKEN_MALFORMED", false},
		{"the roles", grpcauth.Rule{Roles: []string{"editor"}}, []string{good}, codes.OK, "", true},
		{"a missing role", grpcauth.Rule{Roles: []string{"editor", "admin"}}, []string{good}, codes.PermissionDenied, "ROLE_MISSING", false},
		{"another audience", grpcauth.Rule{Audience: "billing"}, []string{good}, codes.Unauthenticated, "TOKEN_CLAIMS_INVALID", false},
		{"the actor", support, []string{acting("support")}, codes.OK, "", true},
		{"another actor, after the right one", support, []string{acting("orders")}, codes.PermissionDenied, "ACTOR_NOT_ALLOWED", false},
		{"an actor without a name", support, []string{nameless}, codes.PermissionDenied, "ACTOR_NOT_ALLOWED", false},
		{"no actor", support, []string{good}, codes.PermissionDenied, "ACTOR_NOT_ALLOWED", false},
		{"an API key, which has no actor", support, []string{key}, codes.PermissionDenied, "ACTOR_NOT_ALLOWED", false},
		{"an actor where none is asked for", grpcauth.Rule{}, []string{acting("orders")}, codes.OK, "", true},
		{"public", grpcauth.Public, []string{"Bearer junk"}, codes.OK, "", false},
		{"optional, none", grpcauth.Rule{Optional: true}, nil, codes.OK, "", false},
		{"optional, good", grpcauth.Rule{Optional: true}, []string{good}, codes.OK, "", true},
		{"optional, junk", grpcauth.Rule{Optional: true}, []string{"Bearer junk"}, codes.Unauthenticated, "TOKEN_MALFORMED", false},
		{"optional, two", grpcauth.Rule{Optional: true}, []string{good, good}, codes.Unauthenticated, "TOKEN_MALFORMED", false},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			client, service := serve(t, v, grpcauth.Rules{check: test.rule, watch: test.rule})
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{"authorization": test.values})
			_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			expect(t, service, err, test.code, test.reason, test.caller)
			stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			expect(t, service, err, test.code, test.reason, test.caller)
		})
	}
}

func expect(t *testing.T, service *whoami, err error, code codes.Code, reason string, hasCaller bool) {
	t.Helper()
	answer := status.Convert(err)
	found := ""
	for _, detail := range answer.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == "postern" {
			found = info.GetReason()
		}
	}
	if answer.Code() != code || found != reason {
		t.Errorf("%s %s in place of %s %s", answer.Code(), found, code, reason)
		return
	}
	if code != codes.OK {
		if len(service.callers) > 0 {
			t.Error("the handler was called")
		}
		return
	}
	if caller := <-service.callers; (caller != nil) != hasCaller || hasCaller && caller.SessionID != "mine" {
		t.Errorf("the caller is %+v", caller)
	}
}

// Q38. An API key is accepted like a token. What an interceptor before has found out counts, not the proxy.
func TestAPIKeys(t *testing.T) {
	v, postern1 := verifier(t)
	everywhere, inside, grant := trusttest.NewAPIKey(), trusttest.NewAPIKey(), trusttest.APIKeyGrant()
	postern1.SetAPIKey(everywhere, grant)
	grant.AllowedNetworks = []string{"192.0.2.0/24"}
	postern1.SetAPIKey(inside, grant)
	unary, stream := grpcauth.UnaryInterceptor(v, nil), grpcauth.StreamInterceptor(v, nil)
	from := func(ctx context.Context, key string) (postern.Reason, postern.Reason) {
		caller := func(ctx context.Context) {
			if caller, ok := postern.CallerFrom(ctx); !ok || caller.CredentialKind != postern.CredentialAPIKey {
				t.Errorf("the caller is %+v", caller)
			}
		}
		ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "Bearer "+key))
		_, unaryErr := unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: check}, func(ctx context.Context, _ any) (any, error) {
			caller(ctx)
			return nil, nil
		})
		streamErr := stream(nil, &openStream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: watch}, func(_ any, s grpc.ServerStream) error {
			caller(s.Context())
			return nil
		})
		return reasonIn(unaryErr), reasonIn(streamErr)
	}
	connectedFrom := func(address string) context.Context {
		return peer.NewContext(t.Context(), &peer.Peer{Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))})
	}
	for name, test := range map[string]struct {
		ctx    context.Context
		key    string
		reason postern.Reason
	}{
		"anywhere":               {t.Context(), everywhere, ""},
		"an unknown address":     {t.Context(), inside, postern.ReasonAPIKeyInvalid},
		"this machine":           {connectedFrom("127.0.0.1:4711"), inside, postern.ReasonAPIKeyInvalid},
		"the network":            {connectedFrom("192.0.2.7:4711"), inside, ""},
		"another one":            {connectedFrom("192.0.3.7:4711"), inside, postern.ReasonAPIKeyInvalid},
		"a unix socket":          {peer.NewContext(t.Context(), &peer.Peer{Addr: &net.UnixAddr{Net: "unix"}}), inside, postern.ReasonAPIKeyInvalid},
		"the network by a proxy": {postern.WithClientAddress(connectedFrom("192.0.3.7:4711"), netip.MustParseAddr("192.0.2.7")), inside, ""},
		"a proxy that says nothing": {
			postern.WithClientAddress(connectedFrom("192.0.2.7:4711"), netip.Addr{}), inside, postern.ReasonAPIKeyInvalid,
		},
	} {
		if unaryReason, streamReason := from(test.ctx, test.key); unaryReason != test.reason || streamReason != test.reason {
			t.Errorf("%s: %q and %q", name, unaryReason, streamReason)
		}
	}
	// Over the wire.
	client, service := serve(t, v, nil)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+inside)
	_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	expect(t, service, err, codes.Unauthenticated, "API_KEY_INVALID", false)
	ctx = metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+everywhere)
	if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
}

type openStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *openStream) Context() context.Context { return s.ctx }

func reasonIn(err error) postern.Reason {
	var refused *postern.Refusal
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return ""
}

func TestStaleTrust(t *testing.T) {
	v, err := postern.NewVerifier(t.Context(), postern.Upstream{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	client, _ := serve(t, v, nil)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer a.b.c")
	_, err = client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	answer := status.Convert(err)
	if answer.Code() != codes.Unavailable || len(answer.Details()) != 2 {
		t.Fatalf("%v %v", err, answer.Details())
	}
	if retry, ok := answer.Details()[1].(*errdetails.RetryInfo); !ok || retry.GetRetryDelay().AsDuration() != time.Second {
		t.Errorf("%v", answer.Details()[1])
	}
}

// V06. Without MustMatch, too: a rule that misses its method would let in everybody who has a token.
func TestMisspeltMethods(t *testing.T) {
	for method, refused := range map[string]bool{
		"/grpc.health.v1.Health/Chekc": true,
		"/grpc.health.v1.Health/check": true,
		// The descriptor of this name is no service.
		"/grpc.health.v1.HealthCheckRequest/Check": true,
		check:                        false,
		"/shop.WithoutProtos/Cancel": false,
	} {
		err := grpcauth.Rules{method: {Roles: []string{"admin"}}}.Validate(nil)
		if (err != nil) != refused {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// V06.
func TestInvalidRules(t *testing.T) {
	v, _ := verifier(t)
	for name, rules := range map[string]grpcauth.Rules{
		"not a full method name":      {"Health/Check": grpcauth.Public},
		"both Roles and Optional":     {check: {Optional: true, Roles: []string{"a"}}},
		"is public and has":           {check: {Public: true, Audience: "a"}},
		"a role that is empty":        {check: {Roles: []string{""}}},
		"both Actors and Optional":    {check: {Optional: true, Actors: []string{"a"}}},
		"an actor that is empty":      {check: {Actors: []string{""}}},
		"no actor in Actors":          {check: {Actors: []string{}}},
		"remove one of them":          {check: {Public: true, Actors: []string{"a"}}},
		"method that no service has":  {"/grpc.health.v1.Health/Chekc": grpcauth.Public},
		`"/grpc.health.v1.Health/W" `: {"/grpc.health.v1.Health/W": {}, check: {}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), name) {
					t.Errorf("the panic is %v", err)
				}
			}()
			serve(t, v, rules)
		})
	}
}

// G27.
func TestPolicyOptions(t *testing.T) {
	v, postern1 := verifier(t)
	good := "Bearer " + postern1.Key.Token(t, "mine", nil)
	path := filepath.Join(t.TempDir(), "policy.json")
	write := func(methods string) {
		if err := os.WriteFile(path, []byte(`{"version": 1, "methods": {`+methods+`}}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`"` + check + `": "public"`)
	file, err := postern.OpenPolicyFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, methods string
		rules         grpcauth.Rules
		values        []string
		code          codes.Code
		reason        string
		caller        bool
	}{
		{"public", `"` + check + `": "public"`, nil, []string{"Bearer junk"}, codes.OK, "", false},
		{"not listed", ``, nil, []string{good}, codes.PermissionDenied, "METHOD_NOT_LISTED", false},
		{"a token", `"` + check + `": {}`, nil, []string{good}, codes.OK, "", true},
		{"no token", `"` + check + `": {}`, nil, nil, codes.Unauthenticated, "CREDENTIALS_MISSING", false},
		{"no role", `"` + check + `": {"roles": ["admin"]}`, nil, []string{good}, codes.PermissionDenied, "ROLE_MISSING", false},
		{"no actor", `"` + check + `": {"actors": ["shop"]}`, nil, []string{good}, codes.PermissionDenied, "ACTOR_NOT_ALLOWED", false},
		{"another audience", `"` + check + `": {"audience": "x"}`, nil, []string{good}, codes.Unauthenticated, "TOKEN_CLAIMS_INVALID", false},
		{"refused by the code", `"` + check + `": "public"`, grpcauth.Rules{check: {Roles: []string{"admin"}}}, []string{good}, codes.PermissionDenied, "ROLE_MISSING", false},
		{"public in the code alone", `"` + check + `": {}`, grpcauth.Rules{check: grpcauth.Public}, nil, codes.Unauthenticated, "CREDENTIALS_MISSING", false},
		{"optional in the code alone", `"` + check + `": {}`, grpcauth.Rules{check: {Optional: true}}, nil, codes.Unauthenticated, "CREDENTIALS_MISSING", false},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			write(test.methods)
			if err := file.Reload(); err != nil {
				t.Fatal(err)
			}
			client, service := serveWith(t, grpcauth.PolicyOptions(v, file, test.rules))
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{"authorization": test.values})
			_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			expect(t, service, err, test.code, test.reason, test.caller)
		})
	}
}

package connectauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/emptypb"

	postern "postern.example/clients/go"
	"postern.example/clients/go/connectauth"
	"postern.example/clients/go/internal/trusttest"
)

const unary, stream = "/test.Service/Unary", "/test.Service/Stream"

// M51.
func TestUnaryAndStream(t *testing.T) {
	service := trusttest.Start(t)
	v, err := postern.NewVerifier(t.Context(), postern.Upstream{Address: service.Address})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	good := "Bearer " + service.Key.Token(t, "mine", nil)
	admin := connectauth.Rule{Roles: []string{"admin"}}
	strong := connectauth.Rule{MinACR: postern.AAL2, MaxAuthAge: 5 * time.Minute}
	for name, test := range map[string]struct {
		rule   connectauth.Rule
		values []string
		code   connect.Code
		reason string
	}{
		"good":     {connectauth.Rule{}, []string{good}, 0, ""},
		"none":     {connectauth.Rule{}, nil, connect.CodeUnauthenticated, "CREDENTIALS_MISSING"},
		"two":      {connectauth.Rule{}, []string{good, good}, connect.CodeUnauthenticated, "TOKEN_MALFORMED"},
		"no admin": {admin, []string{good}, connect.CodePermissionDenied, "ROLE_MISSING"},
		"weak":     {strong, []string{good}, connect.CodeUnauthenticated, "STEP_UP_REQUIRED"},
		"public":   {connectauth.Public, nil, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			called := 0
			url := serve(t, v, connectauth.Rules{unary: test.rule, stream: test.rule}, func(ctx context.Context) {
				called++
				if caller, ok := postern.CallerFrom(ctx); ok == test.rule.Public || ok && caller.SessionID != "mine" {
					t.Errorf("the caller is %+v", caller)
				}
			})
			client := connect.NewClient[emptypb.Empty, emptypb.Empty](http.DefaultClient, url+unary)
			request := connect.NewRequest(&emptypb.Empty{})
			request.Header()["Authorization"] = test.values
			_, err := client.CallUnary(t.Context(), request)
			expect(t, err, test.code, test.reason)
			if test.reason == "STEP_UP_REQUIRED" {
				expectChallenge(t, url, test.values)
			}

			streaming := connect.NewClient[emptypb.Empty, emptypb.Empty](http.DefaultClient, url+stream)
			answers, err := streaming.CallServerStream(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			defer answers.Close()
			for answers.Receive() {
			}
			expect(t, answers.Err(), test.code, test.reason)
			if (called == 2) != (test.code == 0) {
				t.Errorf("the handlers were called %d times", called)
			}
		})
	}
}

// Q38. Callers on this machine have no address that identifies them.
func TestAPIKeys(t *testing.T) {
	service := trusttest.Start(t)
	v, err := postern.NewVerifier(t.Context(), postern.Upstream{Address: service.Address})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	everywhere, inside, grant := trusttest.NewAPIKey(), trusttest.NewAPIKey(), trusttest.APIKeyGrant()
	service.SetAPIKey(everywhere, grant)
	grant.AllowedNetworks = []string{"192.0.2.0/24"}
	service.SetAPIKey(inside, grant)
	guard := connectauth.NewInterceptor(v, nil)
	kind := postern.CredentialKind("")
	unaryFrom := guard.WrapUnary(func(ctx context.Context, _ connect.AnyRequest) (connect.AnyResponse, error) {
		if caller, ok := postern.CallerFrom(ctx); ok {
			kind = caller.CredentialKind
		}
		return connect.NewResponse(&emptypb.Empty{}), nil
	})
	streamFrom := guard.WrapStreamingHandler(func(ctx context.Context, _ connect.StreamingHandlerConn) error {
		if caller, ok := postern.CallerFrom(ctx); ok {
			kind = caller.CredentialKind
		}
		return nil
	})
	for _, test := range []struct {
		peer, key string
		code      connect.Code
	}{
		{"127.0.0.1:4711", everywhere, 0},
		{"127.0.0.1:4711", inside, connect.CodeUnauthenticated},
		{"192.0.2.7:4711", inside, 0},
		{"192.0.3.7:4711", inside, connect.CodeUnauthenticated},
	} {
		call := &callFrom{Request: connect.NewRequest(&emptypb.Empty{}), peer: test.peer}
		call.Header().Set("Authorization", "Bearer "+test.key)
		kind = ""
		_, err := unaryFrom(t.Context(), call)
		expect(t, err, test.code, "API_KEY_INVALID")
		if (kind == postern.CredentialAPIKey) != (test.code == 0) {
			t.Errorf("the caller came with %q", kind)
		}
		kind = ""
		expect(t, streamFrom(t.Context(), &streamCallFrom{call: call}), test.code, "API_KEY_INVALID")
		if (kind == postern.CredentialAPIKey) != (test.code == 0) {
			t.Errorf("the caller came with %q", kind)
		}
	}
}

// callFrom is a call from an address.
type callFrom struct {
	*connect.Request[emptypb.Empty]
	peer string
}

func (c *callFrom) Peer() connect.Peer { return connect.Peer{Addr: c.peer} }

type streamCallFrom struct {
	connect.StreamingHandlerConn
	call *callFrom
}

func (s *streamCallFrom) Peer() connect.Peer         { return s.call.Peer() }
func (s *streamCallFrom) Spec() connect.Spec         { return s.call.Spec() }
func (s *streamCallFrom) RequestHeader() http.Header { return s.call.Header() }

func serve(t *testing.T, v *postern.Verifier, rules connectauth.Rules, handle func(context.Context)) string {
	t.Helper()
	interceptors := connect.WithInterceptors(connectauth.NewInterceptor(v, rules))
	mux := http.NewServeMux()
	mux.Handle(unary, connect.NewUnaryHandler(unary,
		func(ctx context.Context, _ *connect.Request[emptypb.Empty]) (*connect.Response[emptypb.Empty], error) {
			handle(ctx)
			return connect.NewResponse(&emptypb.Empty{}), nil
		}, interceptors))
	mux.Handle(stream, connect.NewServerStreamHandler(stream,
		func(ctx context.Context, _ *connect.Request[emptypb.Empty], answers *connect.ServerStream[emptypb.Empty]) error {
			handle(ctx)
			return answers.Send(&emptypb.Empty{})
		}, interceptors))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// expectChallenge reads what a client sees that knows nothing of Connect.
func expectChallenge(t *testing.T, url string, authorization []string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+unary, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Authorization": authorization, "Content-Type": {"application/json"}}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	challenge := answer.Header.Get("WWW-Authenticate")
	if answer.StatusCode != http.StatusUnauthorized || challenge != `Bearer error="insufficient_user_authentication", acr_values="aal2", max_age="300"` {
		t.Errorf("%d %q", answer.StatusCode, challenge)
	}
}

func expect(t *testing.T, err error, code connect.Code, reason string) {
	t.Helper()
	if code == 0 {
		if err != nil {
			t.Error(err)
		}
		return
	}
	var answer *connect.Error
	if !errors.As(err, &answer) || answer.Code() != code || len(answer.Details()) == 0 {
		t.Errorf("%v in place of %s", err, code)
		return
	}
	detail, err := answer.Details()[0].Value()
	if info, ok := detail.(*errdetails.ErrorInfo); err != nil || !ok || info.GetReason() != reason || info.GetDomain() != "postern" {
		t.Errorf("%v in place of %s (%v)", detail, reason, err)
	}
}

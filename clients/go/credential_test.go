package postern_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	postern "postern.example/clients/go"
	"postern.example/clients/go/internal/trusttest"
	"postern.example/clients/go/posternpb"
)

// issuer answers IssueServiceToken by a function, and any health check.
type issuer struct {
	posternpb.UnimplementedAuthServiceServer
	grpc_health_v1.UnimplementedHealthServer
	issue func(ctx context.Context) (*posternpb.TokenSet, error)
}

func (i *issuer) IssueServiceToken(ctx context.Context, _ *posternpb.IssueServiceTokenRequest) (*posternpb.TokenSet, error) {
	return i.issue(ctx)
}

func (i *issuer) Check(context.Context, *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

// credentialOf starts an issuer. The client calls it with the credential.
func credentialOf(t *testing.T, issue func(context.Context) (*posternpb.TokenSet, error)) (*postern.ServiceCredential, grpc_health_v1.HealthClient) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, service := grpc.NewServer(), &issuer{issue: issue}
	posternpb.RegisterAuthServiceServer(server, service)
	grpc_health_v1.RegisterHealthServer(server, service)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	address := listener.Addr().String()
	account, err := postern.NewServiceCredential(postern.Upstream{Address: address}, "orders", "secret", postern.WithPlaintext())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = account.Close() })
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(account))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return account, grpc_health_v1.NewHealthClient(connection)
}

// What a call says to another service is not for Postern.
func TestMetadataOfACallStaysWithIt(t *testing.T) {
	t.Parallel()
	seen := make(chan metadata.MD, 1)
	_, client := credentialOf(t, func(ctx context.Context) (*posternpb.TokenSet, error) {
		received, _ := metadata.FromIncomingContext(ctx)
		seen <- received
		return &posternpb.TokenSet{AccessToken: "a", ExpiresIn: 600}, nil
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-secret", "of the caller")
	if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	if received := <-seen; len(received.Get("x-secret")) > 0 {
		t.Errorf("Postern received %v", received)
	}
}

func TestCallThatEndsBeforeItsToken(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	_, client := credentialOf(t, func(ctx context.Context) (*posternpb.TokenSet, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil, status.Error(codes.Unavailable, "too late")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%v in place of DeadlineExceeded", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); status.Code(err) != codes.Canceled {
		t.Errorf("%v in place of Canceled", err)
	}
}

// A token that is due for renewal is used while the service does not answer, but not one that a service refused.
func TestRenewalThatFails(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	account, _ := credentialOf(t, func(context.Context) (*posternpb.TokenSet, error) {
		if calls.Add(1) == 1 {
			return &posternpb.TokenSet{AccessToken: "first", ExpiresIn: 3}, nil
		}
		return nil, status.Error(codes.Unavailable, "down")
	})
	if token, err := account.Token(t.Context()); token != "first" || err != nil {
		t.Fatal(token, err)
	}
	trusttest.Until(t, "a renewal fails", func() bool {
		if token, err := account.Token(t.Context()); token != "first" || err != nil {
			t.Fatal(token, err)
		}
		return calls.Load() == 2
	})
	account.Forget("first")
	token, err := account.Token(t.Context())
	if token != "" || status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "postern: the service account got no token") {
		t.Errorf("%q, %v", token, err)
	}
}

// A service that takes calls and does not answer them must not delay those of its users.
func TestRenewalThatHangs(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	account, _ := credentialOf(t, func(ctx context.Context) (*posternpb.TokenSet, error) {
		if calls.Add(1) == 1 {
			return &posternpb.TokenSet{AccessToken: "first", ExpiresIn: 3}, nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	ended, cancel := context.WithCancel(t.Context())
	if token, err := account.Token(ended); token != "first" || err != nil {
		t.Fatal(token, err)
	}
	cancel()
	trusttest.Until(t, "the renewal hangs", func() bool {
		if token, err := account.Token(ended); token != "first" || err != nil {
			t.Fatal(token, err)
		}
		return calls.Load() == 2
	})
	if token, err := account.Token(ended); token != "first" || err != nil {
		t.Fatal(token, err)
	}
}

func TestClosedVerifier(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	log := &bytes.Buffer{}
	v := newVerifier(t, service, postern.WithServiceAccount("orders", "wrong"), postern.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
	trusttest.Until(t, "the cause is known", func() bool { return v.State().Err != nil })
	ready := make(chan error)
	go func() { ready <- v.Ready(context.Background()) }()
	v.Close()
	v.Close()
	if err := <-ready; err == nil || !strings.Contains(err.Error(), "the verifier is closed") {
		t.Errorf("Ready returned %v", err)
	}
	if strings.Contains(log.String(), "closed") {
		t.Errorf("an intended end was logged: %s", log)
	}
}

// A context with a timeout, meant for the connection alone, would end the verifier without a word.
func TestContextThatEnds(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	v, err := postern.NewVerifier(ctx, postern.Upstream{Address: service.Address})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	trusttest.Until(t, "the end is known", func() bool {
		state := v.State()
		return !state.Connected && errors.Is(state.Err, context.DeadlineExceeded) && strings.Contains(state.Err.Error(), "the context of the verifier has ended")
	})
}

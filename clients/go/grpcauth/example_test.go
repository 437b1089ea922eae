package grpcauth_test

import (
	"context"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	postern "postern.example/clients/go"
	"postern.example/clients/go/grpcauth"
)

// Anyone may ask for the health of the service, and callers with the role admin may watch it.
func ExampleServerOptions() {
	v, err := postern.NewVerifier(context.Background(), postern.Upstream{Address: "127.0.0.1:50051"},
		postern.WithServiceAccount("the client id", "the client secret"))
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	rules := grpcauth.Rules{
		"/grpc.health.v1.Health/Check": grpcauth.Public,
		"/grpc.health.v1.Health/Watch": {Roles: []string{"admin"}},
	}
	server := grpc.NewServer(grpcauth.ServerOptions(v, rules)...)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	grpcauth.MustMatch(server, rules)
	listener, err := net.Listen("tcp", "127.0.0.1:50071")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(listener))
}

// A stream is checked when it opens. A handler that sends for hours asks anew.
func ExampleStreamInterceptor() {
	handler := func(v *postern.Verifier, events <-chan *grpc_health_v1.HealthCheckResponse, stream grpc_health_v1.Health_WatchServer) error {
		token, err := postern.BearerToken(metadata.ValueFromIncomingContext(stream.Context(), "authorization"))
		if err != nil {
			return err
		}
		for event := range events {
			if _, err := v.VerifyContext(stream.Context(), token, postern.Require{}); err != nil {
				return err // Unauthenticated: TOKEN_REVOKED, TOKEN_EXPIRED or API_KEY_INVALID
			}
			if err := stream.Send(event); err != nil {
				return err
			}
		}
		return nil
	}
	_ = handler
}

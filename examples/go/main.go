// Logs in to Postern, verifies the token, refreshes it, logs out, and shows how to read a refusal.
//
//	printf %s 'the password' | go run . -email ann@example.com
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	posternv1 "postern.example/clients/go/posternpb"
)

const (
	deadline = 5 * time.Second
	attempts = 3
)

func main() {
	address := flag.String("address", "127.0.0.1:50051", "host:port of Postern's gRPC listener")
	email := flag.String("email", "", "the e-mail address to log in with; the password is read from standard input")
	flag.Parse()
	password, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = run(*address, *email, string(password))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		var refusal *Refusal
		if errors.As(err, &refusal) {
			fmt.Fprintln(os.Stderr, "the service's log has the request id", refusal.RequestID)
		}
		os.Exit(1)
	}
}

func run(address, email, password string) error {
	// Plaintext only on the same machine; elsewhere use credentials.NewTLS(nil).
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	service := posternv1.NewAuthServiceClient(connection)
	ctx := context.Background()

	tokens, err := call(ctx, service.Login, &posternv1.LoginRequest{Email: email, Password: password})
	if err != nil {
		return err
	}
	fmt.Printf("logged in: session %s, access token valid for %d s\n", tokens.SessionId, tokens.ExpiresIn)

	verified, err := call(ctx, service.VerifyToken, &posternv1.VerifyTokenRequest{AccessToken: tokens.AccessToken})
	if err != nil {
		return err
	}
	roles := strings.Join(verified.Roles, ",")
	if roles == "" {
		roles = "none"
	}
	fmt.Printf("verified: %s %s, roles %s\n", verified.SubjectType, verified.Subject, roles)

	// The old refresh token is now invalid; keep only the new pair.
	tokens, err = call(ctx, service.RefreshToken, &posternv1.RefreshTokenRequest{RefreshToken: tokens.RefreshToken})
	if err != nil {
		return err
	}
	fmt.Println("refreshed: session", tokens.SessionId)

	if _, err = call(ctx, service.RevokeToken, &posternv1.RevokeTokenRequest{Token: tokens.RefreshToken}); err != nil {
		return err
	}
	fmt.Println("revoked")

	_, err = call(ctx, service.VerifyToken, &posternv1.VerifyTokenRequest{AccessToken: tokens.AccessToken})
	fmt.Println("refused:", err)
	return nil
}

// A service behind Postern: it answers who the caller is, and refuses a token that was revoked a moment ago.
//
//	POSTERN_CLIENT_ID=... POSTERN_CLIENT_SECRET=... go run ./service
//	curl -H "authorization: Bearer $TOKEN" http://127.0.0.1:8090/me
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	postern "postern.example/clients/go"
	"postern.example/clients/go/httpauth"
)

func main() {
	address := flag.String("address", "127.0.0.1:50051", "host:port of Postern's gRPC listener")
	listen := flag.String("listen", "127.0.0.1:8090", "host:port to serve on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *address, *listen); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, address, listen string) error {
	// Plaintext only on the same machine; elsewhere set TLS: &tls.Config{}. Close ends the verifier, after the last request.
	verifier, err := postern.NewVerifier(context.WithoutCancel(ctx), postern.Upstream{Address: address},
		postern.WithServiceAccount(os.Getenv("POSTERN_CLIENT_ID"), os.Getenv("POSTERN_CLIENT_SECRET")),
		postern.WithLogger(slog.Default()))
	if err != nil {
		return err
	}
	defer verifier.Close()
	// Without keys and revocations, requests would be answered with 503. The error says why they do not arrive.
	ready, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := verifier.Ready(ready); err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.Handle("GET /me", httpauth.Require(verifier, postern.Require{})(http.HandlerFunc(me)))
	mux.Handle("GET /admin", httpauth.Require(verifier, postern.Require{Roles: []string{"admin"}})(http.HandlerFunc(me)))
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stopped := make(chan error, 1)
	defer context.AfterFunc(ctx, func() {
		// Requests in progress have a moment to end.
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(drain)
	})()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

func me(w http.ResponseWriter, r *http.Request) {
	caller, _ := postern.CallerFrom(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(map[string]any{"subject": caller.Subject, "roles": caller.Roles}); err != nil {
		slog.Warn("the caller is gone", "error", err)
	}
}

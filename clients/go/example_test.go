package postern_test

import (
	"context"
	"log"
	"net/http"
	"net/netip"

	postern "postern.example/clients/go"
	"postern.example/clients/go/httpauth"
)

// Behind a proxy that puts the address of the client into a header, and replaces what callers send there.
func ExampleWithClientAddress() {
	clientOfProxy := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			client, _ := netip.ParseAddr(r.Header.Get("X-Real-Ip"))
			next.ServeHTTP(w, r.WithContext(postern.WithClientAddress(r.Context(), client)))
		})
	}
	guarded := func(v *postern.Verifier, handler http.Handler) http.Handler {
		return clientOfProxy(httpauth.Require(v, postern.Require{})(handler))
	}
	_ = guarded
}

// A pod with a projected token, and without a secret.
func ExampleNewWorkloadCredential() {
	upstream := postern.Upstream{Address: "127.0.0.1:50051"}
	workload := postern.Workload{TokenFile: "/var/run/secrets/tokens/postern"}
	v, err := postern.NewVerifier(context.Background(), upstream, postern.WithWorkload(workload))
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	account, err := postern.NewWorkloadCredential(upstream, workload, postern.WithAudience("billing"))
	if err != nil {
		log.Fatal(err)
	}
	defer account.Close()
}

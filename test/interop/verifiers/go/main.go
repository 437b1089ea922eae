// verify oidc|keyfunc JWKS_URL ISSUER AUDIENCE: answers each token on standard input with one line.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
)

var cacheTime = func() time.Duration {
	if seconds, err := strconv.Atoi(os.Getenv("CACHE_SECONDS")); err == nil {
		return time.Duration(seconds) * time.Second
	}
	return time.Minute
}()

func withGoOIDC(jwksURL, issuer, audience string) (func(token string) (string, error), error) {
	ctx := context.Background()
	newVerifier := func() *oidc.IDTokenVerifier {
		keys := oidc.NewRemoteKeySet(ctx, jwksURL)
		return oidc.NewVerifier(issuer, keys, &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{"ES256"}})
	}
	var current atomic.Pointer[oidc.IDTokenVerifier]
	current.Store(newVerifier())
	// A RemoteKeySet reads the keys again only for an unknown key id: a new one forgets revoked keys.
	go func() {
		for range time.Tick(cacheTime) {
			current.Store(newVerifier())
		}
	}()
	return func(token string) (string, error) {
		verified, err := current.Load().Verify(ctx, token)
		if err != nil {
			return "", err
		}
		return verified.Subject, nil
	}, nil
}

func withKeyfunc(jwksURL, issuer, audience string) (func(token string) (string, error), error) {
	// By default the keys are read again once an hour; until then a revoked key is accepted.
	keys, err := keyfunc.NewDefaultOverrideCtx(context.Background(), []string{jwksURL},
		keyfunc.Override{RefreshInterval: cacheTime})
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer),
		jwt.WithAudience(audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	return func(token string) (string, error) {
		parsed, err := parser.Parse(token, keys.Keyfunc)
		if err != nil {
			return "", err
		}
		if parsed.Header["typ"] != "at+jwt" {
			return "", errors.New("not an access token")
		}
		return parsed.Claims.GetSubject()
	}, nil
}

func main() {
	libraries := map[string]func(string, string, string) (func(string) (string, error), error){
		"oidc": withGoOIDC, "keyfunc": withKeyfunc,
	}
	verify, err := libraries[os.Args[1]](os.Args[2], os.Args[3], os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if subject, err := verify(lines.Text()); err == nil {
			fmt.Println("accepted", subject)
		} else {
			fmt.Printf("refused %q\n", err)
		}
	}
}

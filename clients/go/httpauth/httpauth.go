// Package httpauth guards net/http handlers by Postern's access tokens.
package httpauth

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"

	postern "postern.example/clients/go"
)

// Require returns a middleware that lets requests with a valid token through. Handlers find the caller by
// [postern.CallerFrom]. Others are answered with 401, 403 or 503, the headers of RFC 6750 and RFC 9470, and a JSON body
// {"error": "TOKEN_EXPIRED", "message": "…"}.
//
// It panics for requirements that [postern.Rules.Validate] refuses, such as a role that is empty.
func Require(v *postern.Verifier, require postern.Require) func(http.Handler) http.Handler {
	rules := postern.Rules{"/http/Request": {
		Audience: require.Audience, Roles: require.Roles, Actors: require.Actors,
		MinACR: require.MinACR, MaxAuthAge: require.MaxAuthAge,
	}}
	if err := rules.Validate(nil); err != nil {
		panic(err)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := postern.WithPeerAddress(r.Context(), r.RemoteAddr)
			ctx, err := rules.Authorize(ctx, v, "/http/Request", r.Header.Values("Authorization"))
			if err != nil {
				WriteRefusal(w, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// WriteRefusal answers a request as [Require] does; err is that of [postern.Verifier.Verify] or [postern.BearerToken].
// Any other error is answered with 500 and without details.
func WriteRefusal(w http.ResponseWriter, err error) {
	refusal := &postern.Refusal{Reason: "INTERNAL", Detail: "internal error"}
	code := http.StatusInternalServerError
	if errors.As(err, &refusal) {
		code = writeHeaders(w.Header(), refusal)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	body := json.NewEncoder(w)
	body.SetEscapeHTML(false)
	// The client may be gone; then nobody reads the error.
	_ = body.Encode(map[string]string{"error": string(refusal.Reason), "message": refusal.Detail})
}

func writeHeaders(headers http.Header, refusal *postern.Refusal) int {
	if challenge := refusal.Challenge(); challenge != "" {
		headers.Set("WWW-Authenticate", challenge)
	}
	switch refusal.Code() {
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.Unavailable:
		headers.Set("Retry-After", strconv.Itoa(int(math.Ceil(refusal.RetryAfter.Seconds()))))
		return http.StatusServiceUnavailable
	default:
		return http.StatusUnauthorized
	}
}

package postern

import (
	"context"
	"strings"
)

var (
	refusedMissing = refusal(ReasonCredentialsMissing, "send the access token as 'authorization: Bearer <token>'")

	refusedRepeatedHeader = refusal(ReasonTokenMalformed, "the call has more than one authorization header; send one")
	refusedHeaderForm     = refusal(ReasonTokenMalformed, "the authorization header must be 'Bearer', one space and one token")
)

// BearerToken reads the token of a call (RFC 6750 section 2.1). values has one text for each authorization header. The
// error is a [*Refusal]: [ReasonCredentialsMissing] without a header or with one of another scheme, and
// [ReasonTokenMalformed] for several headers or a value that is not exactly one token.
func BearerToken(values []string) (string, error) {
	if len(values) > 1 {
		// Even beside an empty one: another program could read the other.
		return "", refusedRepeatedHeader
	}
	if len(values) == 0 || isBlank(values[0]) {
		return "", refusedMissing
	}
	const scheme = "bearer"
	value := values[0]
	if len(value) <= len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", refusedMissing
	}
	rest := value[len(scheme):]
	if rest[0] == ' ' && isToken68(rest[1:]) {
		return rest[1:], nil
	}
	if isSpace(rest[0]) && !isBlank(rest) {
		return "", refusedHeaderForm
	}
	return "", refusedMissing
}

func isToken68(text string) bool {
	body := strings.TrimRight(text, "=")
	for index := range len(body) {
		character := body[index]
		isLetter := character|0x20 >= 'a' && character|0x20 <= 'z'
		isDigit := character >= '0' && character <= '9'
		if !isLetter && !isDigit && strings.IndexByte("-._~+/", character) < 0 {
			return false
		}
	}
	return body != ""
}

func isSpace(character byte) bool { return strings.IndexByte(" \t\n\v\f\r", character) >= 0 }

func isBlank(text string) bool { return strings.Trim(text, " \t\n\v\f\r") == "" }

type callerKey struct{}

// WithCaller returns a context with the caller; the guards of this module call it.
func WithCaller(ctx context.Context, caller *Claims) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// CallerFrom returns the caller of a handler behind a guard of this module. It is false for a public method, and where a
// token is optional and was not sent.
func CallerFrom(ctx context.Context) (*Claims, bool) {
	caller, ok := ctx.Value(callerKey{}).(*Claims)
	return caller, ok
}

package postern

import (
	"math"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// SubjectType says whether a token belongs to a user or to a service account.
type SubjectType string

// The two kinds of subjects.
const (
	SubjectUser    SubjectType = "user"
	SubjectService SubjectType = "service"
)

// CredentialKind says what was verified.
type CredentialKind string

// The two kinds of credentials.
const (
	CredentialAccessToken CredentialKind = "access_token"
	CredentialAPIKey      CredentialKind = "api_key"
)

// Claims are those of a verified token, or what an API key may do. All callers with the same token share one value: do not
// change it.
type Claims struct {
	Subject     string
	SubjectType SubjectType
	// SubjectName is the name of a service account, or empty.
	SubjectName string
	// SessionID is empty for a service account and for an API key.
	SessionID string
	// TokenID is the id of an API key.
	TokenID string
	// ClientID is empty for the API key of a user.
	ClientID string
	// ExternalID is the user's id in another program, or empty.
	ExternalID string
	// Actor acts for the subject, or is nil.
	Actor *Actor
	// ACR is the level of the session, [AAL1] or [AAL2]. It is empty where the token does not say it, as those of service
	// accounts, and for an API key.
	ACR string
	// AMR says how the user proved who they are (RFC 8176): "pwd", "otp", "hwk", "swk", "mfa", and "recovery".
	AMR []string
	// AuthenticatedAt is when the user last proved it; zero where the token does not say it, and for an API key.
	AuthenticatedAt time.Time
	Issuer          string
	Audience        []string
	Roles           []string
	// IssuedAt is when an API key was created.
	IssuedAt time.Time
	// ExpiresAt is zero for an API key that does not expire.
	ExpiresAt time.Time
	// KeyID names the key that signed the token; empty for an API key.
	KeyID          string
	CredentialKind CredentialKind
}

// Actor is a service account that acts for the subject of a token.
type Actor struct {
	Subject string
	// Name is that of the account when the token was issued, or empty.
	Name string
	// Actor acted before it; nil for the first one.
	Actor *Actor
}

// maxActors is how many services a call can pass through.
const maxActors = 4

// policy has the rules for claims. A new value means changed rules, so tokens in the cache are compared by its address.
type policy struct {
	issuer             string
	audiences          []string
	maxLifetimeSeconds float64
	skewSeconds        int64
}

func (p *policy) equal(other *policy) bool {
	return other != nil && p.issuer == other.issuer && slices.Equal(p.audiences, other.audiences) &&
		p.maxLifetimeSeconds == other.maxLifetimeSeconds && p.skewSeconds == other.skewSeconds
}

// checkClaims checks the claims of a token whose signature is valid: first the type of every claim, then issuer, audience
// and lifetime, then the times. Unknown claims are ignored (RFC 7519 section 4).
func checkClaims(members map[string]any, rules *policy, keyID string, wallNs int64) (*Claims, *Refusal) {
	now := float64(wallNs) / float64(time.Second)
	skew := float64(rules.skewSeconds)
	subject, ok := members["sub"].(string)
	if !ok || !isIdentifier(subject) {
		return nil, refusedSub
	}
	exp, ok := numericDate(members["exp"])
	if !ok {
		return nil, refusedExp
	}
	iat, ok := numericDate(members["iat"])
	if !ok {
		return nil, refusedIatClaim
	}
	tokenID, ok := members["jti"].(string)
	if !ok || !isIdentifier(tokenID) {
		return nil, refusedJti
	}
	clientID, ok := members["client_id"].(string)
	if !ok || !isIdentifier(clientID) {
		return nil, refusedClientID
	}
	sessionID, ok := optionalIdentifier(members, "sid")
	if !ok {
		return nil, refusedSid
	}
	externalID, ok := optionalIdentifier(members, "external_id")
	if !ok {
		return nil, refusedExternalID
	}
	subjectName, ok := optionalIdentifier(members, "name")
	if !ok {
		return nil, refusedName
	}
	acr, ok := optionalIdentifier(members, "acr")
	if !ok {
		return nil, refusedACR
	}
	amr, ok := optionalIdentifierList(members, "amr")
	if !ok {
		return nil, refusedAMR
	}
	authenticatedAt, ok := optionalTime(members, "auth_time")
	if !ok {
		return nil, refusedAuthTime
	}
	actor, ok := optionalActor(members, maxActors)
	if !ok {
		return nil, refusedAct
	}
	roles, ok := identifierList(members["roles"])
	if !ok {
		return nil, refusedRoles
	}
	if issuer, isText := members["iss"].(string); !isText || issuer != rules.issuer {
		return nil, refusedIss
	}
	audience, ok := audienceOf(members["aud"])
	if !ok {
		return nil, refusedAudType
	}
	if !slices.ContainsFunc(rules.audiences, func(accepted string) bool { return slices.Contains(audience, accepted) }) {
		return nil, refusedAud
	}
	if exp-iat > rules.maxLifetimeSeconds {
		return nil, refusedLifetime
	}
	nbf, hasNbf := members["nbf"]
	notBefore, ok := numericDate(nbf)
	if hasNbf && !ok {
		return nil, refusedNbfClaim
	}
	if now >= math.Floor(exp)+skew {
		return nil, refusedExpired
	}
	if hasNbf && notBefore > now+skew {
		return nil, refusedNbf
	}
	if iat > now+skew {
		return nil, refusedIat
	}
	claims := &Claims{
		Subject:         subject,
		SubjectType:     SubjectUser,
		SessionID:       sessionID,
		TokenID:         tokenID,
		ClientID:        clientID,
		ExternalID:      externalID,
		Actor:           actor,
		ACR:             acr,
		AMR:             amr,
		AuthenticatedAt: authenticatedAt,
		Issuer:          rules.issuer,
		Audience:        audience,
		Roles:           roles,
		IssuedAt:        time.Unix(int64(math.Floor(iat)), 0),
		ExpiresAt:       time.Unix(int64(math.Floor(exp)), 0),
		KeyID:           keyID,
		CredentialKind:  CredentialAccessToken,
	}
	if sessionID == "" {
		// The users of other programs that sign such tokens may choose their names, such as that of an account.
		claims.SubjectType, claims.SubjectName = SubjectService, subjectName
	}
	return claims, nil
}

// numericDate reads a NumericDate (RFC 7519 section 2) in a plausible range.
func numericDate(value any) (float64, bool) {
	number, ok := value.(float64)
	return number, ok && number > 0 && number < 1<<40
}

// isIdentifier says whether a text is safe to store, log and put into a header.
func isIdentifier(text string) bool {
	length := 0
	for at := 0; at < len(text); {
		character, size := utf8.DecodeRuneInString(text[at:])
		if character == utf8.RuneError && size == 1 || unicode.Is(unicode.Cc, character) {
			return false
		}
		if character > 0xffff {
			length++
		}
		length++
		at += size
	}
	return length >= 1 && length <= 256
}

func optionalIdentifier(members map[string]any, name string) (string, bool) {
	value, present := members[name]
	if !present {
		return "", true
	}
	text, ok := value.(string)
	return text, ok && isIdentifier(text)
}

func optionalIdentifierList(members map[string]any, name string) ([]string, bool) {
	value, present := members[name]
	if !present {
		return nil, true
	}
	return identifierList(value)
}

// optionalTime reads a NumericDate, without its fraction; the zero time without one.
func optionalTime(members map[string]any, name string) (time.Time, bool) {
	value, present := members[name]
	if !present {
		return time.Time{}, true
	}
	seconds, ok := numericDate(value)
	return time.Unix(int64(math.Floor(seconds)), 0), ok
}

// optionalActor reads the claim act (RFC 8693 section 4.1) of a token or an actor. It decides who may call, so a malformed one
// refuses the token.
func optionalActor(members map[string]any, remaining int) (*Actor, bool) {
	value, present := members["act"]
	if !present {
		return nil, true
	}
	act, ok := value.(map[string]any)
	if !ok || remaining == 0 {
		return nil, false
	}
	subject, isText := act["sub"].(string)
	name, isName := optionalIdentifier(act, "name")
	before, isActor := optionalActor(act, remaining-1)
	if !isText || !isIdentifier(subject) || !isName || !isActor {
		return nil, false
	}
	return &Actor{Subject: subject, Name: name, Actor: before}, true
}

func identifierList(value any) ([]string, bool) {
	items, ok := value.([]any)
	if !ok {
		return nil, false
	}
	texts := make([]string, len(items))
	for index, item := range items {
		text, isText := item.(string)
		if !isText || !isIdentifier(text) {
			return nil, false
		}
		texts[index] = text
	}
	return texts, true
}

func audienceOf(value any) ([]string, bool) {
	text, ok := value.(string)
	if ok {
		return []string{text}, isIdentifier(text)
	}
	return identifierList(value)
}

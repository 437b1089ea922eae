package postern

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Reason says why a token or a call was refused. The names are those of the enum in reason.proto; a name never changes its
// meaning.
type Reason string

// The reasons that a verifier and its guards give. The service has more.
const (
	ReasonCredentialsMissing    Reason = "CREDENTIALS_MISSING"
	ReasonTokenMalformed        Reason = "TOKEN_MALFORMED"
	ReasonTokenTooLarge         Reason = "TOKEN_TOO_LARGE"
	ReasonTokenAlgNotAllowed    Reason = "TOKEN_ALG_NOT_ALLOWED"
	ReasonTokenKeyUnknown       Reason = "TOKEN_KEY_UNKNOWN"
	ReasonTokenSignatureInvalid Reason = "TOKEN_SIGNATURE_INVALID"
	ReasonTokenTypeInvalid      Reason = "TOKEN_TYPE_INVALID"
	ReasonTokenClaimsInvalid    Reason = "TOKEN_CLAIMS_INVALID"
	ReasonTokenExpired          Reason = "TOKEN_EXPIRED"
	ReasonTokenNotYetValid      Reason = "TOKEN_NOT_YET_VALID"
	ReasonTokenRevoked          Reason = "TOKEN_REVOKED"
	ReasonAPIKeyInvalid         Reason = "API_KEY_INVALID"
	ReasonStepUpRequired        Reason = "STEP_UP_REQUIRED"
	ReasonRoleMissing           Reason = "ROLE_MISSING"
	ReasonMethodNotListed       Reason = "METHOD_NOT_LISTED"
	ReasonActorNotAllowed       Reason = "ACTOR_NOT_ALLOWED"
	ReasonTrustStale            Reason = "TRUST_STALE"
)

// retryAfter is the delay given to callers when keys and revocations are not here yet, or too old.
const retryAfter = time.Second

// Refusal is the error of a refused token or call. It contains no part of the token.
type Refusal struct {
	Reason Reason
	// Detail names the broken rule in fixed words, fit to be shown to the caller.
	Detail string
	// RetryAfter is zero unless the same call may succeed later.
	RetryAfter time.Duration
	// MinACR and MaxAuthAge are what was required of the token, as in [Require], when the reason is STEP_UP_REQUIRED.
	MinACR     string
	MaxAuthAge time.Duration
}

func (r *Refusal) Error() string {
	return "postern: " + string(r.Reason) + ": " + r.Detail
}

// Code is the gRPC status code of the refusal: Unauthenticated, PermissionDenied or Unavailable.
func (r *Refusal) Code() codes.Code {
	switch r.Reason {
	case ReasonRoleMissing, ReasonMethodNotListed, ReasonActorNotAllowed:
		return codes.PermissionDenied
	case ReasonTrustStale:
		return codes.Unavailable
	default:
		return codes.Unauthenticated
	}
}

// Challenge is the WWW-Authenticate header of an answer over HTTP (RFC 6750 section 3, RFC 9470 section 3), or empty where
// there is none.
func (r *Refusal) Challenge() string {
	switch {
	case r.Code() == codes.PermissionDenied:
		return `Bearer error="insufficient_scope"`
	case r.Code() == codes.Unavailable:
		return ""
	case r.Reason == ReasonCredentialsMissing:
		return "Bearer"
	case r.Reason == ReasonStepUpRequired:
		return r.stepUpChallenge()
	}
	description := strings.NewReplacer(`"`, `'`, `\`, `'`).Replace(r.Detail)
	return `Bearer error="invalid_token", error_description="` + description + `"`
}

func (r *Refusal) stepUpChallenge() string {
	challenge := `Bearer error="insufficient_user_authentication"`
	required := r.metadata()
	for _, name := range []string{acrValues, maxAge} {
		if value, ok := required[name]; ok {
			challenge += ", " + name + `="` + value + `"`
		}
	}
	return challenge
}

// The parameters of RFC 9470 section 3.
const (
	acrValues = "acr_values"
	maxAge    = "max_age"
)

// metadata is that of the ErrorInfo: what was required, where the reason is STEP_UP_REQUIRED.
func (r *Refusal) metadata() map[string]string {
	if r.Reason != ReasonStepUpRequired {
		return nil
	}
	required := map[string]string{}
	if r.MinACR != "" {
		required[acrValues] = r.MinACR
	}
	if r.MaxAuthAge > 0 {
		required[maxAge] = strconv.FormatInt(int64(r.MaxAuthAge/time.Second), 10)
	}
	return required
}

// Details are the protobuf messages that Postern attaches to a status: an ErrorInfo of the domain postern, whose metadata has
// acr_values and max_age for STEP_UP_REQUIRED, and a RetryInfo.
func (r *Refusal) Details() []protoadapt.MessageV1 {
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: string(r.Reason), Domain: "postern", Metadata: r.metadata()}}
	if r.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(r.RetryAfter)})
	}
	return details
}

// GRPCStatus makes a grpc-go handler that returns the refusal answer as Postern does.
func (r *Refusal) GRPCStatus() *status.Status {
	plain := status.New(r.Code(), r.Detail)
	detailed, err := plain.WithDetails(r.Details()...)
	if err != nil {
		return plain
	}
	return detailed
}

func refusal(reason Reason, detail string) *Refusal {
	return &Refusal{Reason: reason, Detail: detail}
}

// Every refusal exists once: a flood of malformed tokens allocates nothing, and a fixed text cannot contain a token.
var (
	refusedTooLarge = refusal(ReasonTokenTooLarge, "the token is longer than 8192 bytes")

	refusedSegments     = refusal(ReasonTokenMalformed, "a token is three base64url segments joined by dots")
	refusedNotCanonical = refusal(ReasonTokenMalformed, "a segment is not canonical base64url")
	refusedHeaderJSON   = refusal(ReasonTokenMalformed, "the header is not one JSON object with distinct members")
	refusedHeader       = refusal(ReasonTokenMalformed, "the header has a member other than alg, kid and typ")
	refusedHeaderTypes  = refusal(ReasonTokenMalformed, "alg, kid and typ must be strings, and alg present")
	refusedKidMissing   = refusal(ReasonTokenMalformed, "the header has no kid")
	refusedKidLength    = refusal(ReasonTokenMalformed, "kid must have 1 to 128 characters")
	refusedClaimsJSON   = refusal(ReasonTokenMalformed, "the claims are not one JSON object with distinct members")

	refusedAlg             = refusal(ReasonTokenAlgNotAllowed, "alg is not an accepted algorithm")
	refusedAlgMismatch     = refusal(ReasonTokenAlgNotAllowed, "alg is not the algorithm of the key")
	refusedKeyUnknown      = refusal(ReasonTokenKeyUnknown, "no key with this kid is published")
	refusedType            = refusal(ReasonTokenTypeInvalid, "typ is not that of an access token")
	refusedSignatureLength = refusal(ReasonTokenSignatureInvalid, "the signature does not have the length that the algorithm requires")
	refusedSignature       = refusal(ReasonTokenSignatureInvalid, "the signature does not match")
	refusedRevoked         = refusal(ReasonTokenRevoked, "the token, its session or its key was revoked")
	refusedExpired         = refusal(ReasonTokenExpired, "the token has expired")
	refusedNbf             = refusal(ReasonTokenNotYetValid, "nbf is in the future")
	refusedIat             = refusal(ReasonTokenNotYetValid, "iat is in the future")

	refusedSub        = refusal(ReasonTokenClaimsInvalid, "sub "+identifierRule)
	refusedJti        = refusal(ReasonTokenClaimsInvalid, "jti "+identifierRule)
	refusedSid        = refusal(ReasonTokenClaimsInvalid, "sid "+identifierRule)
	refusedClientID   = refusal(ReasonTokenClaimsInvalid, "client_id "+identifierRule)
	refusedExternalID = refusal(ReasonTokenClaimsInvalid, "external_id "+identifierRule)
	refusedName       = refusal(ReasonTokenClaimsInvalid, "name "+identifierRule)
	refusedAct        = refusal(ReasonTokenClaimsInvalid, "act must be an object whose sub "+identifierRule+", nested at most 4 deep")
	refusedACR        = refusal(ReasonTokenClaimsInvalid, "acr "+identifierRule)
	refusedAMR        = refusal(ReasonTokenClaimsInvalid, "amr must be a list of strings of 1 to 256 characters without control characters")
	refusedAuthTime   = refusal(ReasonTokenClaimsInvalid, "auth_time "+dateRule)
	refusedRoles      = refusal(ReasonTokenClaimsInvalid, "roles must be a list of strings of 1 to 256 characters without control characters")
	refusedExp        = refusal(ReasonTokenClaimsInvalid, "exp "+dateRule)
	refusedIatClaim   = refusal(ReasonTokenClaimsInvalid, "iat "+dateRule)
	refusedNbfClaim   = refusal(ReasonTokenClaimsInvalid, "nbf "+dateRule)
	refusedIss        = refusal(ReasonTokenClaimsInvalid, "iss is not the trusted issuer")
	refusedAudType    = refusal(ReasonTokenClaimsInvalid, "aud must be a string or a list of strings")
	refusedAud        = refusal(ReasonTokenClaimsInvalid, "aud has no accepted audience")
	refusedLifetime   = refusal(ReasonTokenClaimsInvalid, "the time from iat to exp is longer than the maximum lifetime of a token")
	refusedAudience   = refusal(ReasonTokenClaimsInvalid, "aud does not have the required audience")

	// The first is the same for every cause, as at the service.
	refusedAPIKey        = refusal(ReasonAPIKeyInvalid, "the API key is not valid, or not from this network; use another one")
	refusedAPIKeyOffline = refusal(ReasonAPIKeyInvalid, "API keys are not accepted here, since their verification needs a connection to Postern; send an access token")

	refusedLookup = &Refusal{
		Reason:     ReasonTrustStale,
		Detail:     "what the API key may do is not known yet; retry later",
		RetryAfter: retryAfter,
	}
	refusedStale = &Refusal{
		Reason:     ReasonTrustStale,
		Detail:     "keys and revocations are not loaded yet, or are too old; retry later",
		RetryAfter: retryAfter,
	}
	refusedEnded = refusal(ReasonTrustStale, "the verifier is closed, or its context has ended")
)

const (
	identifierRule = "must be a string of 1 to 256 characters without control characters"
	dateRule       = "must be a number of seconds, greater than 0 and less than 2^40"
)

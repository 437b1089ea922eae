package postern

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The levels of a session (claim acr), the lowest first, with the names of NIST SP 800-63B: AAL2 when a second factor or a
// passkey that verified its user was used.
const (
	AAL1 = "aal1"
	AAL2 = "aal2"
)

var levels = []string{AAL1, AAL2}

// Require says what a valid token must have in addition. The zero value requires nothing more.
type Require struct {
	// Audience is one that the token must name, beside one of those that the service publishes.
	Audience string
	// Roles are those that the subject must have, all of them.
	Roles []string
	// Actors are the names of the service accounts that may act for the subject: the last actor of the token must be one of
	// them. Without any, it makes no difference whether somebody acts.
	Actors []string
	// MinACR is the lowest level that the session of the token may have, [AAL1] or [AAL2]; empty for any. A token that does
	// not say its level, such as that of a service account, has none, and so has an API key.
	MinACR string
	// MaxAuthAge is how long ago the user may last have proved who they are, in whole seconds; 0 for any time. A token that
	// does not say when is refused.
	MaxAuthAge time.Duration
}

// unmet is the refusal of a valid token that lacks what is required, or nil. The level comes before the roles: a role of
// POSTERN_SECOND_FACTOR_ROLES is missing below aal2, and only STEP_UP_REQUIRED says how to get it.
func (r *Require) unmet(claims *Claims, clock func() instant) *Refusal {
	if r.Audience != "" && !slices.Contains(claims.Audience, r.Audience) {
		return refusedAudience
	}
	if refused := r.unmetAuthentication(claims, clock); refused != nil {
		return refused
	}
	for _, role := range r.Roles {
		if !slices.Contains(claims.Roles, role) {
			return refusal(ReasonRoleMissing, "the subject lacks the role '"+role+"'")
		}
	}
	// Only the service that made this call counts: those before it are history (RFC 8693 section 4.1).
	if r.Actors != nil && (claims.Actor == nil || claims.Actor.Name == "" || !slices.Contains(r.Actors, claims.Actor.Name)) {
		return refusedActor
	}
	return nil
}

// unmetAuthentication refuses everything when the requirement is none that [Rules.Validate] accepts.
func (r *Require) unmetAuthentication(claims *Claims, clock func() instant) *Refusal {
	if r.MinACR != "" && !reaches(claims.ACR, r.MinACR) {
		if r.MinACR == AAL1 {
			return r.stepUp("this needs the token of a login")
		}
		return r.stepUp("this needs a second factor; call StepUp with a code or a passkey")
	}
	if r.MaxAuthAge == 0 {
		return nil
	}
	age := clock().wallNs/int64(time.Second) - claims.AuthenticatedAt.Unix()
	if claims.AuthenticatedAt.IsZero() || float64(age) > r.MaxAuthAge.Seconds() {
		return r.stepUp(fmt.Sprintf("this needs a proof of at most %d seconds ago; call StepUp", r.MaxAuthAge/time.Second))
	}
	return nil
}

func (r *Require) stepUp(detail string) *Refusal {
	return &Refusal{Reason: ReasonStepUpRequired, Detail: detail, MinACR: r.MinACR, MaxAuthAge: r.MaxAuthAge}
}

// reaches compares two levels; one that is unknown reaches none, and is reached by none.
func reaches(level, required string) bool {
	return slices.Contains(levels, required) && slices.Index(levels, level) >= slices.Index(levels, required)
}

// strictest is the highest level and the shortest time that either requires, so that one refusal names all that the caller has
// to prove.
func strictest(one, other Require) (minACR string, maxAuthAge time.Duration) {
	minACR, maxAuthAge = one.MinACR, one.MaxAuthAge
	// A level that does not exist stays, and is reached by no token.
	if minACR == "" || reaches(other.MinACR, minACR) {
		minACR = other.MinACR
	}
	if other.MaxAuthAge != 0 && (maxAuthAge == 0 || other.MaxAuthAge < maxAuthAge) {
		maxAuthAge = other.MaxAuthAge
	}
	return minACR, maxAuthAge
}

// fault says what is wrong with a requirement, or nothing.
func (r *Require) fault() string {
	switch {
	case slices.Contains(r.Roles, ""):
		return "has a role that is empty"
	case r.Actors != nil && len(r.Actors) == 0:
		return "has no actor in Actors, so that nobody could call it; leave Actors out, or name one"
	case slices.Contains(r.Actors, ""):
		return "has an actor that is empty"
	case r.MinACR != "" && !slices.Contains(levels, r.MinACR):
		return "has a MinACR that is none of " + strings.Join(levels, ", ")
	case r.MaxAuthAge < 0 || r.MaxAuthAge%time.Second != 0:
		return "has a MaxAuthAge that is not a whole number of seconds, 1 or more"
	default:
		return ""
	}
}

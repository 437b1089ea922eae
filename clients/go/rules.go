package postern

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Rule says who may call a method. The zero value requires a valid token.
type Rule struct {
	// Public lets anyone call the method; a token is ignored.
	Public bool
	// Optional lets callers without a token in, but a token that is sent must be valid, and for the Audience if there is one.
	// Not together with any other requirement.
	Optional bool
	// The others are as in [Require].
	Audience   string
	Roles      []string
	Actors     []string
	MinACR     string
	MaxAuthAge time.Duration
}

// Rules are those of a server, by full method name: /package.Service/Method. A method without a rule requires a valid
// token, so that none is open by mistake.
type Rules map[string]Rule

var methodName = regexp.MustCompile(`^/[A-Za-z_][\w.]*/[A-Za-z_]\w*$`)

// Validate finds every fault of the rules: a misspelt one would silently open or close a method. served says whether the
// server has a method. If it is nil, the methods of the services whose protos are compiled into the program are known, and a
// service that is not among them may have any.
func (r Rules) Validate(served func(method string) bool) error {
	if served == nil {
		served = mayExist
	}
	var faults []string
	for name, rule := range r {
		fault := rule.fault()
		switch {
		case !methodName.MatchString(name):
			fault = "is not a full method name; write /package.Service/Method"
		case !served(name):
			fault = "is a method that no service has"
		}
		if fault != "" {
			faults = append(faults, fmt.Sprintf("%q %s", name, fault))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	slices.Sort(faults)
	return errors.New("postern: the access rules are invalid: " + strings.Join(faults, "; "))
}

// mayExist is false for a method that the proto of its service does not have.
func mayExist(method string) bool {
	service, name, _ := strings.Cut(method[1:], "/")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return true
	}
	descriptor, isService := found.(protoreflect.ServiceDescriptor)
	return isService && descriptor.Methods().ByName(protoreflect.Name(name)) != nil
}

func (r Rule) fault() string {
	require := r.require()
	hasLevel := r.MinACR != "" || r.MaxAuthAge != 0
	switch {
	case r.Public && (r.Optional || r.Audience != "" || len(r.Roles) > 0 || r.Actors != nil || hasLevel):
		return "is public and has requirements; remove one of them"
	case r.Optional && len(r.Roles) > 0:
		return "has both Roles and Optional, but a caller without a token has no roles; remove one"
	case r.Optional && r.Actors != nil:
		return "has both Actors and Optional, but a caller without a token has no actor; remove one"
	case r.Optional && hasLevel:
		return "has both Optional and MinACR or MaxAuthAge, but a caller without a token has proved nothing; remove one"
	default:
		return require.fault()
	}
}

func (r Rule) require() Require {
	return Require{Audience: r.Audience, Roles: r.Roles, Actors: r.Actors, MinACR: r.MinACR, MaxAuthAge: r.MaxAuthAge}
}

// Authorize applies the rule of a method to the authorization headers of a call, one text each. The result has the caller
// for [CallerFrom]; the error is a [*Refusal]. It is what guards of other transports call, after [WithPeerAddress].
func (r Rules) Authorize(ctx context.Context, v *Verifier, method string, authorization []string) (context.Context, error) {
	rule := r[method]
	if rule.Public {
		return ctx, nil
	}
	token, err := BearerToken(authorization)
	if err != nil {
		if err == refusedMissing && rule.Optional {
			return ctx, nil
		}
		return nil, err
	}
	caller, err := v.VerifyContext(ctx, token, rule.require())
	if err != nil {
		return nil, err
	}
	return WithCaller(ctx, caller), nil
}

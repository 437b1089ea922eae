package postern

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxPolicyBytes = 256 << 10
	// policyInterval is how often a watched file is read. Events of the file system are missing on network mounts and when a
	// symbolic link is swapped.
	policyInterval = 10 * time.Second
)

// A Policy says which callers may call which methods, as a policy file has it. A method that is not listed is refused
// unless the file says otherwise.
type Policy struct {
	methods   map[string]policyRule
	otherwise *policyRule
}

// policyRule requires a valid token and what is required of it; with public, nothing.
type policyRule struct {
	public  bool
	require Require
}

// ParsePolicy reads a policy file in JSON. The error lists every fault: a misspelt member or method would silently open or
// close a method. For YAML see the module policyfile.
func ParsePolicy(json []byte) (*Policy, error) {
	if len(json) > maxPolicyBytes {
		return nil, errors.New("postern: the policy file is larger than 256 KiB")
	}
	document, ok := parseStrictJSON(string(json))
	if !ok {
		return nil, errors.New("postern: the policy file is not one JSON object with distinct members")
	}
	reader := policyReader{}
	policy := reader.policy(document)
	if len(reader.faults) > 0 {
		slices.Sort(reader.faults)
		return nil, errors.New("postern: the policy file is invalid: " + strings.Join(reader.faults, "; "))
	}
	return policy, nil
}

type policyReader struct{ faults []string }

func (r *policyReader) fault(format string, values ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, values...))
}

func (r *policyReader) policy(document map[string]any) *Policy {
	r.knownMembers("the file", document, "version", "audience", "otherwise", "methods")
	if version, ok := document["version"].(float64); !ok || version != 1 {
		r.fault("the version is missing or unknown to this release; write 1")
	}
	policy := &Policy{methods: map[string]policyRule{}}
	audience := r.audience("the file", document, "")
	if otherwise, ok := document["otherwise"]; ok {
		rule := r.rule("otherwise", otherwise, audience)
		policy.otherwise = &rule
	}
	methods, ok := document["methods"].(map[string]any)
	if !ok {
		r.fault("methods is missing, or no mapping; write {} for none")
	}
	for name, value := range methods {
		if !methodName.MatchString(name) {
			r.fault("%q is not a full method name; write /package.Service/Method", name)
		}
		policy.methods[name] = r.rule(name, value, audience)
	}
	return policy
}

func (r *policyReader) rule(place string, value any, audience string) policyRule {
	if value == "public" {
		return policyRule{public: true}
	}
	members, ok := value.(map[string]any)
	if !ok {
		r.fault("%q is neither public nor a mapping; write {} to require a valid token", place)
		return policyRule{}
	}
	r.knownMembers(place, members, "roles", "actors", "audience", "min_acr", "max_auth_age")
	return policyRule{require: Require{
		Audience:   r.audience(place, members, audience),
		Roles:      r.names(place, members, "roles"),
		Actors:     r.names(place, members, "actors"),
		MinACR:     r.level(place, members),
		MaxAuthAge: r.maxAuthAge(place, members),
	}}
}

func (r *policyReader) audience(place string, members map[string]any, fallback string) string {
	value, ok := members["audience"]
	if !ok {
		return fallback
	}
	name, ok := value.(string)
	if !ok || !isIdentifier(name) {
		r.fault("%q has an audience that is not a name of 1 to 256 characters", place)
	}
	return name
}

func (r *policyReader) names(place string, members map[string]any, member string) []string {
	value, ok := members[member]
	if !ok {
		return nil
	}
	names, ok := identifierList(value)
	if !ok || len(names) == 0 {
		r.fault("%q has %s that are not a list of names of 1 to 256 characters", place, member)
	}
	return names
}

func (r *policyReader) level(place string, members map[string]any) string {
	value, ok := members["min_acr"]
	if !ok {
		return ""
	}
	level, _ := value.(string)
	if !slices.Contains(levels, level) {
		r.fault("%q has a min_acr that is none of %s", place, strings.Join(levels, ", "))
	}
	return level
}

func (r *policyReader) maxAuthAge(place string, members map[string]any) time.Duration {
	value, ok := members["max_auth_age"]
	if !ok {
		return 0
	}
	seconds, isNumber := value.(float64)
	if !isNumber || seconds != math.Trunc(seconds) || seconds < 1 || seconds > math.MaxUint32 {
		r.fault("%q has a max_auth_age that is not a number of seconds; write a whole number, 1 to %d, without quotes", place, uint32(math.MaxUint32))
		return 0
	}
	return time.Duration(seconds) * time.Second
}

func (r *policyReader) knownMembers(place string, members map[string]any, known ...string) {
	for name := range members {
		if !slices.Contains(known, name) {
			r.fault("%q has an unknown member %q; the members are %s", place, name, strings.Join(known, ", "))
		}
	}
}

// Methods are the methods that have a rule, sorted.
func (p *Policy) Methods() []string {
	methods := make([]string, 0, len(p.methods))
	for method := range p.methods {
		methods = append(methods, method)
	}
	slices.Sort(methods)
	return methods
}

// rule is nil for a method that the policy refuses.
func (p *Policy) rule(method string) *policyRule {
	if rule, ok := p.methods[method]; ok {
		return &rule
	}
	return p.otherwise
}

var (
	refusedUnlisted = refusal(ReasonMethodNotListed, "the policy of this service does not list the method")
	refusedActor    = refusal(ReasonActorNotAllowed, "the token names no service that the policy lets act here")
)

// Authorize applies the policy to the authorization headers of a call, one text each, and a rule of the code where there is
// one for the method: both must allow the call. The result has the caller for [CallerFrom]; the error is a [*Refusal].
func (p *Policy) Authorize(ctx context.Context, v *Verifier, rules Rules, method string, authorization []string) (context.Context, error) {
	rule := p.rule(method)
	if rule == nil {
		return nil, refusedUnlisted
	}
	code, ok := rules[method]
	if rule.public {
		if !ok {
			code = Rule{Public: true}
		}
		return Rules{method: code}.Authorize(ctx, v, method, authorization)
	}
	ctx, err := Rules{method: {Audience: code.Audience}}.Authorize(ctx, v, method, authorization)
	if err != nil {
		return nil, err
	}
	caller, ok := CallerFrom(ctx)
	if !ok {
		return nil, refusedMissing
	}
	// The audiences of both come first: nobody is asked to step up for a token that is refused in any case.
	audience, require := Require{Audience: rule.require.Audience}, code.require()
	require.MinACR, require.MaxAuthAge = strictest(require, rule.require)
	for _, required := range []*Require{&audience, &require, &rule.require} {
		if refused := required.unmet(caller, v.clock); refused != nil {
			return nil, refused
		}
	}
	return ctx, nil
}

// PolicyFile is a policy that can be read again. A file with a fault never replaces a good one.
type PolicyFile struct {
	path    string
	toJSON  func([]byte) ([]byte, error)
	reading sync.Mutex
	text    []byte
	current atomic.Pointer[Policy]
}

// OpenPolicyFile reads a policy file in JSON, or in another format that toJSON reads; nil for JSON. See the module policyfile
// for YAML.
func OpenPolicyFile(path string, toJSON func([]byte) ([]byte, error)) (*PolicyFile, error) {
	if toJSON == nil && filepath.Ext(path) != ".json" {
		return nil, errors.New("postern: a policy file in JSON has a name that ends in .json; for YAML use the module policyfile")
	}
	file := &PolicyFile{path: path, toJSON: toJSON}
	return file, file.Reload()
}

// Policy is that of the last file without a fault.
func (f *PolicyFile) Policy() *Policy { return f.current.Load() }

// Reload reads the file now. After an error the policy is the one before.
func (f *PolicyFile) Reload() error {
	f.reading.Lock()
	defer f.reading.Unlock()
	text, err := readRegularFile(f.path, maxPolicyBytes)
	if err != nil {
		return fmt.Errorf("postern: the policy file cannot be read: %w", err)
	}
	if f.current.Load() != nil && bytes.Equal(text, f.text) {
		return nil
	}
	json := text
	if f.toJSON != nil {
		if len(text) > maxPolicyBytes {
			return errors.New("postern: the policy file is larger than 256 KiB")
		}
		if json, err = f.toJSON(text); err != nil {
			return err
		}
	}
	policy, err := ParsePolicy(json)
	if err != nil {
		return err
	}
	f.text = bytes.Clone(text)
	f.current.Store(policy)
	return nil
}

// Watch reads the file every ten seconds until ctx is done. report gets each fault once.
func (f *PolicyFile) Watch(ctx context.Context, report func(error)) {
	ticker := time.NewTicker(policyInterval)
	defer ticker.Stop()
	reported := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := f.Reload()
		if err == nil {
			reported = ""
		} else if err.Error() != reported {
			reported = err.Error()
			report(err)
		}
	}
}

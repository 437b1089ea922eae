package postern

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"postern.example/clients/go/posternpb"
)

// M52. A requirement that nothing meets, or that could be taken for none, stops the start; a verifier that is asked for it
// directly refuses every token.
func TestInvalidRequirements(t *testing.T) {
	strong := &Claims{ACR: AAL2, AuthenticatedAt: time.Unix(1000, 0)}
	now := func() instant { return instant{1000 * int64(time.Second), 0} }
	for _, require := range []Require{
		{MinACR: "aal3"}, {MinACR: "AAL2"}, {MinACR: "2"},
		{MaxAuthAge: -time.Second}, {MaxAuthAge: -1},
	} {
		rule := Rule{MinACR: require.MinACR, MaxAuthAge: require.MaxAuthAge}
		if err := (Rules{"/a.B/C": rule}).Validate(nil); err == nil {
			t.Errorf("%+v is a valid rule", rule)
		}
		if refused := require.unmet(strong, now); refused == nil || refused.Reason != ReasonStepUpRequired {
			t.Errorf("%+v: %v", require, refused)
		}
	}
	for _, rule := range []Rule{
		{MaxAuthAge: 1500 * time.Millisecond}, {MaxAuthAge: 1},
		{Public: true, MinACR: AAL2}, {Public: true, MaxAuthAge: time.Minute},
		{Optional: true, MinACR: AAL1}, {Optional: true, MaxAuthAge: time.Minute},
	} {
		if err := (Rules{"/a.B/C": rule}).Validate(nil); err == nil {
			t.Errorf("%+v is a valid rule", rule)
		}
	}
	rule := Rule{MinACR: AAL2, MaxAuthAge: 5 * time.Minute}
	if err := (Rules{"/a.B/C": rule}).Validate(nil); err != nil {
		t.Error(err)
	}
}

// M53. Of several requirements the highest level and the shortest time count, whichever comes first.
func TestStrictest(t *testing.T) {
	levels, ages := []string{"", AAL1, AAL2}, []time.Duration{0, time.Second, time.Minute}
	for one, minACR := range levels {
		for other, otherACR := range levels {
			for _, age := range ages {
				for _, otherAge := range ages {
					highest, shortest := strictest(Require{MinACR: minACR, MaxAuthAge: age}, Require{MinACR: otherACR, MaxAuthAge: otherAge})
					expected := min(age, otherAge)
					if expected == 0 {
						expected = max(age, otherAge)
					}
					if highest != levels[max(one, other)] || shortest != expected {
						t.Errorf("%q %v and %q %v: %q %v", minACR, age, otherACR, otherAge, highest, shortest)
					}
				}
			}
		}
	}
}

// M51. The answer names all that is required, and nothing that is not.
func TestStepUpRefusal(t *testing.T) {
	for _, test := range []struct {
		require   Require
		challenge string
		metadata  map[string]string
	}{
		{Require{MinACR: AAL2}, `, acr_values="aal2"`, map[string]string{"acr_values": "aal2"}},
		{Require{MaxAuthAge: 5 * time.Minute}, `, max_age="300"`, map[string]string{"max_age": "300"}},
		{
			Require{MinACR: AAL1, MaxAuthAge: time.Second}, `, acr_values="aal1", max_age="1"`,
			map[string]string{"acr_values": "aal1", "max_age": "1"},
		},
	} {
		refused := test.require.unmet(&Claims{}, systemClock)
		if refused == nil || refused.Challenge() != `Bearer error="insufficient_user_authentication"`+test.challenge {
			t.Errorf("%+v: %v", test.require, refused)
			continue
		}
		info, ok := refused.GRPCStatus().Details()[0].(*errdetails.ErrorInfo)
		if refused.Code() != codes.Unauthenticated || !ok || !maps.Equal(info.GetMetadata(), test.metadata) || info.GetReason() != "STEP_UP_REQUIRED" {
			t.Errorf("%+v: %v", test.require, info)
		}
	}
	other := refusedExpired.GRPCStatus().Details()[0].(*errdetails.ErrorInfo)
	if len(other.GetMetadata()) > 0 {
		t.Errorf("the refusal of an expired token has %v", other)
	}
}

// M51. A token that the cache has is judged anew by the time of each call.
func TestAgeOfCachedToken(t *testing.T) {
	var settings []tokenSetting
	readCorpus(t, "tokens.json", &settings)
	setting := &settings[0]
	index := slices.IndexFunc(setting.Tokens, func(vector tokenVector) bool {
		return vector.Claims != nil && vector.Claims.AuthenticatedAt != nil && vector.Claims.ACR == AAL2 &&
			*vector.Claims.AuthenticatedAt <= setting.Now && vector.Claims.ExpiresAt > setting.Now+100
	})
	token := string(setting.Tokens[index].Token)
	v := fixedVerifier(t, setting)
	now := instant{setting.Now * int64(time.Second), 0}
	v.clock = func() instant { return now }
	age := setting.Now - *setting.Tokens[index].Claims.AuthenticatedAt
	require := Require{MaxAuthAge: time.Duration(age+30) * time.Second}
	for _, step := range []struct {
		after  time.Duration
		reason string
	}{{0, ""}, {30 * time.Second, ""}, {999 * time.Millisecond, ""}, {time.Millisecond, "STEP_UP_REQUIRED"}} {
		now.wallNs += int64(step.after)
		if _, err := v.Verify(token, require); reasonOf(err) != step.reason {
			t.Errorf("after %v: %v", step.after, err)
		}
	}
}

// M50. An API key has none of the three claims, whatever its owner has proved.
func TestAPIKeyHasNoLevel(t *testing.T) {
	grant, err := grantOf(&posternpb.ApiKeyGrant{
		Id: "k", Subject: "u", SubjectType: posternpb.SubjectType_USER, Audience: "orders", MaxAge: 600,
	}, "https://auth.example", instant{})
	if err != nil {
		t.Fatal(err)
	}
	if c := grant.claims; c.ACR != "" || c.AMR != nil || !c.AuthenticatedAt.IsZero() {
		t.Errorf("%+v", c)
	}
	for _, require := range []Require{{MinACR: AAL1}, {MaxAuthAge: time.Hour}} {
		if refused := require.unmet(grant.claims, systemClock); refused == nil || refused.Reason != ReasonStepUpRequired {
			t.Errorf("%+v: %v", require, refused)
		}
	}
}

// stepUpRequired is how Postern refuses a valid token that proves too little.
var stepUpRequired = (&Refusal{Reason: ReasonStepUpRequired, Detail: "call StepUp"}).GRPCStatus().Err()

// M54. A new token of the same account would be refused alike, so it is not fetched.
func TestStepUpForgetsNoToken(t *testing.T) {
	for _, test := range []struct {
		err     error
		forgets bool
	}{
		{refusedExpired, true},
		{status.Error(codes.Unauthenticated, "of another program"), true},
		{stepUpRequired, false},
		{refusedStale, false},
		{context.Canceled, false},
	} {
		if refusesToken(test.err) != test.forgets {
			t.Errorf("%v", test.err)
		}
	}
	settings, err := optionsOf(nil)
	if err != nil {
		t.Fatal(err)
	}
	credential := &countingCredential{}
	v := newVerifier(settings)
	stream := newTrustStream(nil, credential, v)
	stream.openTimer = time.NewTimer(time.Hour)
	defer stream.openTimer.Stop()
	resolver := newAPIKeyResolver(refusingConnection{stepUpRequired}, credential, v)
	for _, err := range []error{stepUpRequired, refusedRevoked} {
		before := credential.forgotten
		stream.next = &watch{cancel: func() {}}
		stream.handle(streamEvent{from: stream.next, token: "a", err: err})
		resolver.client = posternpb.NewTrustServiceClient(refusingConnection{err})
		if _, err := resolver.ask(t.Context(), keyDigest{}); err == nil {
			t.Error("the key is known")
		}
		if forgotten := credential.forgotten - before; (forgotten == 2) != refusesToken(err) || forgotten == 1 {
			t.Errorf("%v: the token was forgotten %d times", err, forgotten)
		}
	}
}

type refusingConnection struct{ err error }

func (c refusingConnection) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return c.err
}

func (c refusingConnection) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, c.err
}

// M53. Policy and code each raise the requirement; one refusal names the higher one.
func TestPolicyRaisesTheRule(t *testing.T) {
	var settings []tokenSetting
	readCorpus(t, "tokens.json", &settings)
	setting := &settings[0]
	v := fixedVerifier(t, setting)
	index := slices.IndexFunc(setting.Tokens, func(vector tokenVector) bool { return vector.Claims != nil && vector.Claims.ACR == AAL1 })
	authorization := []string{"Bearer " + string(setting.Tokens[index].Token)}
	for _, test := range []struct {
		rule, code, challenge string
	}{
		{`{"min_acr": "aal2"}`, `{}`, `acr_values="aal2"`},
		{`{"max_auth_age": 60}`, `{"MinACR": "aal2", "MaxAuthAge": 300000000000}`, `acr_values="aal2", max_age="60"`},
		{`{"min_acr": "aal2", "max_auth_age": 300}`, `{"MinACR": "aal1", "MaxAuthAge": 60000000000}`, `acr_values="aal2", max_age="60"`},
		{`{}`, `{"MinACR": "aal2"}`, `acr_values="aal2"`},
		{`"public"`, `{"MinACR": "aal2"}`, `acr_values="aal2"`},
		{`{"min_acr": "aal2"}`, `{"Public": true}`, `acr_values="aal2"`},
		{`{"min_acr": "aal2"}`, `{"Optional": true}`, `acr_values="aal2"`},
		// A level that does not exist is not forgotten over one that the token has.
		{`{"min_acr": "aal1"}`, `{"MinACR": "aal3"}`, `acr_values="aal3"`},
	} {
		policy, err := ParsePolicy([]byte(`{"version": 1, "methods": {"/a.B/C": ` + test.rule + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		var code Rule
		if err := json.Unmarshal([]byte(test.code), &code); err != nil {
			t.Fatal(err)
		}
		_, err = policy.Authorize(t.Context(), v, Rules{"/a.B/C": code}, "/a.B/C", authorization)
		refused, ok := err.(*Refusal)
		if !ok || !strings.HasSuffix(refused.Challenge(), `"insufficient_user_authentication", `+test.challenge) {
			t.Errorf("%s and %s: %v", test.rule, test.code, err)
		}
	}
}

// M53. Nobody is asked to step up for a token that is refused for its audience in any case.
func TestAudienceBeforeLevel(t *testing.T) {
	var settings []tokenSetting
	readCorpus(t, "tokens.json", &settings)
	setting := &settings[0]
	v := fixedVerifier(t, setting)
	index := slices.IndexFunc(setting.Tokens, func(vector tokenVector) bool { return vector.Claims != nil && vector.Claims.ACR == AAL1 })
	authorization := []string{"Bearer " + string(setting.Tokens[index].Token)}
	for file, code := range map[string]Rule{
		`{"audience": "reports", "min_acr": "aal2"}`: {},
		`{"audience": "reports"}`:                    {MinACR: AAL2},
		`{"min_acr": "aal2"}`:                        {Audience: "reports"},
		`{"audience": "reports", "max_auth_age": 1}`: {Audience: setting.Policy.Audiences[0]},
	} {
		policy, err := ParsePolicy([]byte(`{"version": 1, "methods": {"/a.B/C": ` + file + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		_, err = policy.Authorize(t.Context(), v, Rules{"/a.B/C": code}, "/a.B/C", authorization)
		if refused, ok := err.(*Refusal); !ok || refused.Reason != ReasonTokenClaimsInvalid {
			t.Errorf("%s and %+v: %v", file, code, err)
		}
	}
}

package postern

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"postern.example/clients/go/posternpb"
)

// readCorpus reads a file of the corpus from the folder $CONFORMANCE, or from the committed sample.
func readCorpus(t testing.TB, name string, into any) {
	t.Helper()
	path := filepath.Join(cmp.Or(os.Getenv("CONFORMANCE"), "../conformance/sample"), name)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
	t.Logf("read %s", path)
}

type tokenSetting struct {
	Name   string
	Now    int64
	JWKS   string
	Policy struct {
		Issuer      string
		Audiences   []string
		MaxLifetime uint32 `json:"max_lifetime"`
		ClockSkew   uint32 `json:"clock_skew"`
	}
	Tokens []tokenVector
}

type tokenVector struct {
	Name    string
	Token   tokenText
	Require struct {
		Audience      string
		Roles, Actors []string
		MinACR        string        `json:"min_acr"`
		MaxAuthAge    time.Duration `json:"max_auth_age"`
	}
	Expect []string
	Claims *claimsVector
}

func (v *tokenVector) require() Require {
	require := v.Require
	require.MaxAuthAge *= time.Second
	return Require(require)
}

type tokenText string

func (t *tokenText) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		return json.Unmarshal(text, (*string)(t))
	}
	var recipe struct {
		Head, Fill string
		Length     int
	}
	if err := json.Unmarshal(text, &recipe); err != nil {
		return err
	}
	*t = tokenText(recipe.Head + strings.Repeat(recipe.Fill, recipe.Length-utf16Length(recipe.Head)))
	return nil
}

// claimsVector has empty texts where the corpus has null; numbers that are null there are nil.
type claimsVector struct {
	Subject         string      `json:"subject"`
	SubjectType     SubjectType `json:"subject_type"`
	SessionID       string      `json:"session_id"`
	TokenID         string      `json:"token_id"`
	ClientID        string      `json:"client_id"`
	ExternalID      string      `json:"external_id"`
	SubjectName     string      `json:"subject_name"`
	Actor           *Actor      `json:"actor"`
	ACR             string      `json:"acr"`
	AMR             []string    `json:"amr"`
	AuthenticatedAt *int64      `json:"authenticated_at"`
	Issuer          string      `json:"issuer"`
	Audience        []string    `json:"audience"`
	Roles           []string    `json:"roles"`
	IssuedAt        int64       `json:"issued_at"`
	ExpiresAt       int64       `json:"expires_at"`
	KeyID           string      `json:"key_id"`
}

func vectorOf(c *Claims) *claimsVector {
	vector := &claimsVector{c.Subject, c.SubjectType, c.SessionID, c.TokenID, c.ClientID, c.ExternalID, c.SubjectName, c.Actor,
		c.ACR, append([]string{}, c.AMR...), nil, c.Issuer, c.Audience, c.Roles, c.IssuedAt.Unix(), c.ExpiresAt.Unix(), c.KeyID}
	if !c.AuthenticatedAt.IsZero() {
		seconds := c.AuthenticatedAt.Unix()
		vector.AuthenticatedAt = &seconds
	}
	return vector
}

// fixedVerifier is ready by the keys and rules of a setting, at its time.
func fixedVerifier(t testing.TB, setting *tokenSetting, with ...Option) *Verifier {
	t.Helper()
	settings, err := optionsOf(with)
	if err != nil {
		t.Fatal(err)
	}
	v := newVerifier(settings)
	v.clock = func() instant { return instant{setting.Now * int64(time.Second), 0} }
	reader := streamReader{trust: v.trust}
	keys := &posternpb.TrustedKeys{
		Jwks: setting.JWKS, Issuer: setting.Policy.Issuer, Audiences: setting.Policy.Audiences,
		MaxLifetime: setting.Policy.MaxLifetime, ClockSkew: setting.Policy.ClockSkew,
	}
	if err := reader.applyKeys(keys); err != nil {
		t.Fatal(err)
	}
	v.trust.confirm(0)
	return v
}

// V01.
func TestTokensOfTheCorpus(t *testing.T) {
	var settings []tokenSetting
	readCorpus(t, "tokens.json", &settings)
	count := 0
	for _, setting := range settings {
		v := fixedVerifier(t, &setting)
		for _, vector := range setting.Tokens {
			// The second time the token may come from the cache.
			for range 2 {
				claims, err := v.Verify(string(vector.Token), vector.require())
				count++
				switch {
				case vector.Claims != nil && err != nil:
					t.Errorf("%s, %s: %v", setting.Name, vector.Name, err)
				case vector.Claims != nil && !reflect.DeepEqual(vectorOf(claims), vector.Claims):
					t.Errorf("%s, %s: %+v in place of %+v", setting.Name, vector.Name, vectorOf(claims), vector.Claims)
				case vector.Claims == nil && (err == nil || !slices.Contains(vector.Expect, reasonOf(err))):
					t.Errorf("%s, %s: %v in place of %v", setting.Name, vector.Name, err, vector.Expect)
				}
			}
		}
	}
	if count < 800 {
		t.Errorf("only %d verdicts", count)
	}
	t.Logf("%d verdicts", count)
}

func TestKeySetsOfTheCorpus(t *testing.T) {
	var vectors []struct {
		Name, JWKS string
		Kids       []string
	}
	readCorpus(t, "keysets.json", &vectors)
	for _, vector := range vectors {
		ring, err := readKeySet([]byte(vector.JWKS))
		kids := []string{}
		for kid := range ring {
			kids = append(kids, kid)
		}
		slices.Sort(kids)
		if !slices.Equal(kids, vector.Kids) || (err == nil) != (len(kids) > 0) {
			t.Errorf("%s: kept %v in place of %v (%v)", vector.Name, kids, vector.Kids, err)
		}
	}
}

func TestBearerHeadersOfTheCorpus(t *testing.T) {
	var vectors []struct {
		Values      []string
		Kind, Token string
	}
	readCorpus(t, "bearer.json", &vectors)
	reasons := map[string]string{"missing": "CREDENTIALS_MISSING", "malformed": "TOKEN_MALFORMED", "token": ""}
	for _, vector := range vectors {
		token, err := BearerToken(vector.Values)
		if token != vector.Token || reasonOf(err) != reasons[vector.Kind] {
			t.Errorf("%q: %q, %v in place of %s", vector.Values, token, err, vector.Kind)
		}
	}
}

func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	refused, ok := err.(*Refusal)
	if !ok {
		return "no refusal: " + err.Error()
	}
	return string(refused.Reason)
}

type streamScript struct {
	Name           string
	Now            int64
	MaxStalenessMs int64 `json:"max_staleness_ms"`
	Tokens         map[string]string
	Steps          []struct {
		Name     string
		Receive  []byte
		End      codes.Code
		ElapseMs int64 `json:"elapse_ms"`
		SetClock int64 `json:"set_clock"`
		Then     streamState
	}
}

type streamState struct {
	Status      Status
	Connected   bool
	Revocations int
	Cursor      string
	Forgotten   int
	Tokens      map[string]string
}

type countingCredential struct{ forgotten int }

func (c *countingCredential) next(context.Context) (string, int64, error) { return "a", noRenewal, nil }
func (c *countingCredential) forget(string)                               { c.forgotten++ }

// V01, and V04 in the script of the clock.
func TestStreamsOfTheCorpus(t *testing.T) {
	var scripts []streamScript
	readCorpus(t, "streams.json", &scripts)
	if len(scripts) < 6 {
		t.Fatalf("only %d scripts", len(scripts))
	}
	for _, script := range scripts {
		t.Run(script.Name, func(t *testing.T) { runScript(t, &script) })
	}
}

func runScript(t *testing.T, script *streamScript) {
	settings, err := optionsOf([]Option{WithMaxStaleness(time.Duration(script.MaxStalenessMs) * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	v := newVerifier(settings)
	now := instant{script.Now * int64(time.Second), 0}
	v.clock = func() instant { return now }
	credential := &countingCredential{}
	stream := newTrustStream(nil, credential, v)
	stream.openTimer = time.NewTimer(time.Hour)
	defer stream.openTimer.Stop()
	for _, step := range script.Steps {
		// What open does, without a call.
		if stream.current == nil && stream.next == nil {
			stream.next = &watch{cancel: func() {}}
		}
		latest := stream.current
		if latest == nil {
			latest = stream.next
		}
		switch {
		case step.Receive != nil:
			update := &posternpb.TrustUpdate{}
			if err := proto.Unmarshal(step.Receive, update); err != nil {
				t.Fatal(err)
			}
			stream.handle(streamEvent{from: latest, update: update})
		case step.End != 0:
			stream.handle(streamEvent{from: latest, err: status.Error(step.End, "scripted")})
		case step.ElapseMs != 0:
			now.wallNs += step.ElapseMs * int64(time.Millisecond)
			now.monotonicNs += step.ElapseMs * int64(time.Millisecond)
		case step.SetClock != 0:
			now.wallNs = step.SetClock * int64(time.Second)
			stream.tick()
		}
		state := v.State()
		found := streamState{state.Status, state.Connected, state.Revocations, stream.reader.cursor, credential.forgotten, map[string]string{}}
		for name, token := range script.Tokens {
			found.Tokens[name] = "accepted"
			if _, err := v.Verify(token, Require{}); err != nil {
				found.Tokens[name] = reasonOf(err)
			}
		}
		if !reflect.DeepEqual(found, step.Then) {
			t.Fatalf("%s: %+v in place of %+v", step.Name, found, step.Then)
		}
	}
}

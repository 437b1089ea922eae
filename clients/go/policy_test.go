package postern

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// policyVectors are those of the corpus; the verdicts are by method, one for each caller.
type policyVectors struct {
	Now     int64
	Callers []*struct {
		Audience, Roles []string
		Actors          []*string
		ACR             string
		AuthenticatedAt int64 `json:"authenticated_at"`
	}
	Files []struct {
		Name, Format string
		Text         json.RawMessage
		Verdicts     map[string][]string
	}
}

func policyCorpus(t *testing.T) *policyVectors {
	var vectors policyVectors
	readCorpus(t, "policies.json", &vectors)
	return &vectors
}

func policyText(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var recipe struct {
		Head, Fill, Tail string
		Count            int
	}
	if err := json.Unmarshal(raw, &recipe); err != nil {
		t.Fatal(err)
	}
	return recipe.Head + strings.Repeat(recipe.Fill, recipe.Count) + recipe.Tail
}

// verdict is that of the corpus: public, allowed, or the reason of the refusal.
func (p *Policy) verdict(method string, caller *Claims, now int64) string {
	rule := p.rule(method)
	switch {
	case rule == nil:
		return string(refusedUnlisted.Reason)
	case rule.public:
		return "public"
	case caller == nil:
		return string(refusedMissing.Reason)
	}
	if refused := rule.require.unmet(caller, func() instant { return instant{now * int64(time.Second), 0} }); refused != nil {
		return string(refused.Reason)
	}
	return "allowed"
}

// G23.
func TestPoliciesOfTheCorpus(t *testing.T) {
	vectors := policyCorpus(t)
	read := 0
	for _, file := range vectors.Files {
		if file.Format != "json" {
			continue
		}
		read++
		policy, err := ParsePolicy([]byte(policyText(t, file.Text)))
		if (err != nil) != (file.Verdicts == nil) {
			t.Errorf("%s: %v", file.Name, err)
		}
		if err != nil {
			continue
		}
		for method, expected := range file.Verdicts {
			for index, caller := range vectors.Callers {
				var claims *Claims
				if caller != nil {
					claims = &Claims{Audience: caller.Audience, Roles: caller.Roles, ACR: caller.ACR}
					if caller.AuthenticatedAt != 0 {
						claims.AuthenticatedAt = time.Unix(caller.AuthenticatedAt, 0)
					}
					for at := len(caller.Actors) - 1; at >= 0; at-- {
						claims.Actor = &Actor{Subject: "s", Actor: claims.Actor}
						if name := caller.Actors[at]; name != nil {
							claims.Actor.Name = *name
						}
					}
				}
				if verdict := policy.verdict(method, claims, vectors.Now); verdict != expected[index] {
					t.Errorf("%s, %s, caller %d: %s in place of %s", file.Name, method, index, verdict, expected[index])
				}
			}
		}
	}
	if read < 15 {
		t.Errorf("only %d files", read)
	}
}

// G25.
func TestPolicyFileReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.json")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := OpenPolicyFile(path, nil); err == nil {
		t.Error("a file that does not exist is opened")
	}
	write(`{"version": 1, "methods": {"/a.B/C": {"rols": ["admin"]}}}`)
	if _, err := OpenPolicyFile(path, nil); err == nil || !strings.Contains(err.Error(), `"rols"`) {
		t.Errorf("%v", err)
	}
	write(`{"version": 1, "methods": {"/a.B/C": "public"}}`)
	file, err := OpenPolicyFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(`{"version": 1, "methods": {"/a.B/D": "public"}}`)
	if err := file.Reload(); err != nil || !reflect.DeepEqual(file.Policy().Methods(), []string{"/a.B/D"}) {
		t.Errorf("%v %v", err, file.Policy().Methods())
	}
	write(`{"version": 2, "methods": {}}`)
	if err := file.Reload(); err == nil || !reflect.DeepEqual(file.Policy().Methods(), []string{"/a.B/D"}) {
		t.Errorf("%v %v", err, file.Policy().Methods())
	}
	// What is no file has no end.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", path); err != nil {
		t.Fatal(err)
	}
	if err := file.Reload(); !errors.Is(err, errNotRegular) || !reflect.DeepEqual(file.Policy().Methods(), []string{"/a.B/D"}) {
		t.Errorf("%v", err)
	}
	if _, err := OpenPolicyFile("policy.yaml", nil); err == nil || !strings.Contains(err.Error(), "policyfile") {
		t.Errorf("%v", err)
	}
}

package policyfile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	postern "postern.example/clients/go"
)

// G23. What the rules mean is tested in the main module; here each file is read as in JSON, or not at all.
func TestPoliciesOfTheCorpus(t *testing.T) {
	var vectors struct {
		Files []struct {
			Name, Format string
			Text         json.RawMessage
			Verdicts     map[string][]string
		}
	}
	text, err := os.ReadFile("../../conformance/sample/policies.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, file := range vectors.Files {
		if file.Format != "yaml" {
			continue
		}
		read++
		var yamlText string
		if json.Unmarshal(file.Text, &yamlText) != nil {
			var recipe struct {
				Head, Fill, Tail string
				Count            int
			}
			if err := json.Unmarshal(file.Text, &recipe); err != nil {
				t.Fatal(err)
			}
			yamlText = recipe.Head + strings.Repeat(recipe.Fill, recipe.Count) + recipe.Tail
		}
		path := filepath.Join(t.TempDir(), "policy.yaml")
		if err := os.WriteFile(path, []byte(yamlText), 0o600); err != nil {
			t.Fatal(err)
		}
		opened, err := Open(path)
		if (err != nil) != (file.Verdicts == nil) {
			t.Errorf("%s: %v", file.Name, err)
			continue
		}
		if err != nil {
			continue
		}
		// The methods with a verdict of their own are those with a rule.
		for _, method := range opened.Policy().Methods() {
			if verdicts, ok := file.Verdicts[method]; ok && slices.Contains(verdicts, "METHOD_NOT_LISTED") {
				t.Errorf("%s: %s has a rule", file.Name, method)
			}
		}
	}
	if read < 60 {
		t.Errorf("only %d files", read)
	}
}

func TestYAMLIsReadAsJSON(t *testing.T) {
	source := "# a comment\nversion: 1\naudience: orders\notherwise: {}\nmethods:\n  /a.B/C: public\n  /a.B/D:\n    roles: ['no', \"2nd\", plain text]\n    max_auth_age: 300\n    min_acr: aal2\n"
	converted, err := toJSON([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	expected := `{"version":1,"audience":"orders","otherwise":{},"methods":{"/a.B/C":"public","/a.B/D":{"roles":["no","2nd","plain text"],"max_auth_age":300,"min_acr":"aal2"}}}`
	if string(converted) != expected {
		t.Errorf("%s", converted)
	}
	policy, err := postern.ParsePolicy(converted)
	if err != nil || !reflect.DeepEqual(policy.Methods(), []string{"/a.B/C", "/a.B/D"}) {
		t.Errorf("%v", err)
	}
}

package postern

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzVerify: no text makes the verifier panic, and none but the known good ones is accepted.
func FuzzVerify(f *testing.F) {
	var settings []tokenSetting
	readCorpus(f, "tokens.json", &settings)
	setting := &settings[0]
	v := fixedVerifier(f, setting)
	accepted := map[string]bool{}
	for index, vector := range setting.Tokens {
		// A token that only lacks what a caller requires is a good one.
		isGood := vector.Claims != nil || !reflect.DeepEqual(vector.require(), Require{})
		accepted[string(vector.Token)] = accepted[string(vector.Token)] || isGood
		if isGood || index%20 == 0 {
			f.Add(string(vector.Token))
		}
	}
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := v.Verify(token, Require{}); err == nil && !accepted[token] {
			t.Errorf("%q was accepted", token)
		}
	})
}

// FuzzJSON compares with encoding/json: what it refuses is refused here, and what is accepted has the same meaning.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{
		`{}`, ` {"a":[1,-0.5e3,"\u00e9\ud83d\ude00\n",null,true,false,{"b":{}}]}`, `{"a":1,"\u0061":2}`, `{"a":01}`,
		`{"a":1e400}`, `{"a":"` + "\x1f" + `"}`, `{"a":"\ud800"}`, `{"a":tru}`, `{"a":[1,]}`, `{"a":1}x`, "\ufeff{}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		parsed, ok := parseStrictJSON(text)
		if !ok {
			return
		}
		var expected map[string]any
		if err := json.Unmarshal([]byte(text), &expected); err != nil {
			// Numbers beyond the range of a double are for the rules of claims.
			if !strings.ContainsAny(text, "eE0123456789") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		// encoding/json replaces lone surrogates.
		if !strings.Contains(text, `\u`) && !reflect.DeepEqual(parsed, expected) {
			t.Errorf("%q: %v in place of %v", text, parsed, expected)
		}
	})
}

// FuzzCanonicalBase64url: exactly one text of each value is canonical.
func FuzzCanonicalBase64url(f *testing.F) {
	for _, text := range []string{"", "AA", "AB", "AAA", "AAB", "AAAA", "A", "AA==", "A\nAA", "+/AA"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		decoded, err := base64.RawURLEncoding.DecodeString(text)
		isCanonical := err == nil && base64.RawURLEncoding.EncodeToString(decoded) == text
		if isCanonicalBase64url(text) != isCanonical {
			t.Errorf("%q: %v", text, !isCanonical)
		}
	})
}

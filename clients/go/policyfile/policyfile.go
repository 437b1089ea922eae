// Package policyfile reads policy files in YAML. It is a module of its own, so that programs with policies in JSON need no
// YAML library.
package policyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	postern "postern.example/clients/go"
)

// Open reads a policy file in YAML, or in JSON when its name ends in .json.
func Open(path string) (*postern.PolicyFile, error) {
	if strings.HasSuffix(strings.ToLower(path), ".json") {
		return postern.OpenPolicyFile(path, func(text []byte) ([]byte, error) { return text, nil })
	}
	return postern.OpenPolicyFile(path, toJSON)
}

// maxDepth is deeper than any policy.
const maxDepth = 16

// ambiguous are unquoted words that parsers of YAML 1.1 or 1.2 take for null, a boolean, a number, a time or a merge key.
var ambiguous = regexp.MustCompile(`(?i)^(?:|~|null|true|false|yes|no|on|off|y|n|=|<<|[-+]?\.?[0-9].*|[-+]?\.(?:inf|nan))$`)

// wholeNumber is what every parser takes for the same number. A zero ahead would make it octal for some.
var wholeNumber = regexp.MustCompile(`^[1-9][0-9]{0,9}$`)

// toJSON reads the part of YAML that every parser reads alike: mappings, lists and text, without anchors, tags and
// directives. What is not text everywhere becomes null, which the policy refuses, but for whole numbers in their plain form.
func toJSON(source []byte) ([]byte, error) {
	if !utf8.Valid(source) {
		return nil, fault("the file is not UTF-8 text")
	}
	text := strings.ReplaceAll(string(source), "\r\n", "\n")
	for at, character := range text {
		// After a U+2028 in a comment a parser of YAML 1.1 goes on reading rules.
		if character != '\n' && unicode.Is(unicode.Cc, character) || strings.ContainsRune("\u2028\u2029\ufeff", character) {
			return nil, fault("line %d: the file has a tab or another control character", 1+strings.Count(text[:at], "\n"))
		}
	}
	if strings.HasPrefix(text, "%") || strings.Contains(text, "\n%") {
		return nil, fault("the file has a YAML directive; remove the line with %%")
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	var document, more yaml.Node
	if err := decoder.Decode(&document); err != nil {
		return nil, fault("%w", err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fault("the file has more than one document")
	}
	var out bytes.Buffer
	if err := write(&out, document.Content[0], 0); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func write(out *bytes.Buffer, node *yaml.Node, depth int) error {
	switch {
	case depth > maxDepth:
		return fault("line %d: the file is nested too deeply", node.Line)
	case node.Kind == yaml.AliasNode || node.Anchor != "":
		return fault("line %d: the file has an anchor or an alias; write the value out", node.Line)
	case node.Style&yaml.TaggedStyle != 0:
		return fault("line %d: the file has a tag; remove it", node.Line)
	}
	switch node.Kind {
	case yaml.MappingNode:
		return writeMapping(out, node, depth)
	case yaml.SequenceNode:
		out.WriteByte('[')
		for index, item := range node.Content {
			if index > 0 {
				out.WriteByte(',')
			}
			if err := write(out, item, depth+1); err != nil {
				return err
			}
		}
		out.WriteByte(']')
		return nil
	case yaml.ScalarNode:
		writeScalar(out, node)
		return nil
	default:
		return fault("line %d: the file has something other than mappings, lists and text", node.Line)
	}
}

func writeMapping(out *bytes.Buffer, node *yaml.Node, depth int) error {
	seen := map[string]bool{}
	out.WriteByte('{')
	for index := 0; index < len(node.Content); index += 2 {
		key := node.Content[index]
		if key.Kind != yaml.ScalarNode || isWord(key) || key.Anchor != "" || key.Style&yaml.TaggedStyle != 0 {
			return fault("line %d: the file has a member whose name is not text", key.Line)
		}
		if seen[key.Value] {
			return fault("line %d: the file has the member %q twice; remove one", key.Line, key.Value)
		}
		seen[key.Value] = true
		if index > 0 {
			out.WriteByte(',')
		}
		writeText(out, key.Value)
		out.WriteByte(':')
		if err := write(out, node.Content[index+1], depth+1); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

func isWord(node *yaml.Node) bool {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return node.Style&quoted == 0 && ambiguous.MatchString(node.Value)
}

func writeScalar(out *bytes.Buffer, node *yaml.Node) {
	switch {
	case !isWord(node):
		writeText(out, node.Value)
	case wholeNumber.MatchString(node.Value):
		out.WriteString(node.Value)
	default:
		out.WriteString("null")
	}
}

func writeText(out *bytes.Buffer, text string) {
	encoded, _ := json.Marshal(text) // A string always has a form in JSON.
	out.Write(encoded)
}

func fault(format string, values ...any) error {
	return fmt.Errorf("postern: the policy file is invalid: "+format, values...)
}

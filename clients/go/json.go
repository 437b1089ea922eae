package postern

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxJSONDepth bounds the recursion. No claim needs this depth.
const maxJSONDepth = 16

// parseStrictJSON parses one JSON object (RFC 8259) and refuses repeated members at any depth: encoding/json takes the
// last of them and other parsers the first, so two programs could read different users from one token. The text must be
// UTF-8. A number beyond the range of a double becomes an infinity, which the rules for claims refuse. A lone surrogate
// is kept as three bytes that are no UTF-8, so that different names stay different.
func parseStrictJSON(text string) (map[string]any, bool) {
	scanner := jsonScanner{text: text}
	scanner.skipSpace()
	object, ok := scanner.object(1)
	scanner.skipSpace()
	return object, ok && scanner.at == len(text)
}

type jsonScanner struct {
	text string
	at   int
}

func (s *jsonScanner) peek() byte {
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

func (s *jsonScanner) take(expected byte) bool {
	if s.peek() != expected || s.at == len(s.text) {
		return false
	}
	s.at++
	return true
}

func (s *jsonScanner) skipSpace() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

func (s *jsonScanner) value(depth int) (any, bool) {
	switch s.peek() {
	case '{':
		return s.object(depth)
	case '[':
		return s.array(depth)
	case '"':
		return s.string()
	case 't':
		return true, s.word("true")
	case 'f':
		return false, s.word("false")
	case 'n':
		return nil, s.word("null")
	default:
		return s.number()
	}
}

func (s *jsonScanner) word(word string) bool {
	if !strings.HasPrefix(s.text[s.at:], word) {
		return false
	}
	s.at += len(word)
	return true
}

func (s *jsonScanner) object(depth int) (map[string]any, bool) {
	if !s.take('{') || depth > maxJSONDepth {
		return nil, false
	}
	members := make(map[string]any, 10)
	s.skipSpace()
	if s.take('}') {
		return members, true
	}
	for {
		s.skipSpace()
		name, ok := s.string()
		if !ok {
			return nil, false
		}
		if _, repeated := members[name]; repeated {
			return nil, false
		}
		s.skipSpace()
		if !s.take(':') {
			return nil, false
		}
		s.skipSpace()
		if members[name], ok = s.value(depth + 1); !ok {
			return nil, false
		}
		s.skipSpace()
		if s.take('}') {
			return members, true
		}
		if !s.take(',') {
			return nil, false
		}
	}
}

func (s *jsonScanner) array(depth int) ([]any, bool) {
	if !s.take('[') || depth > maxJSONDepth {
		return nil, false
	}
	items := []any{}
	s.skipSpace()
	if s.take(']') {
		return items, true
	}
	for {
		s.skipSpace()
		item, ok := s.value(depth + 1)
		if !ok {
			return nil, false
		}
		items = append(items, item)
		s.skipSpace()
		if s.take(']') {
			return items, true
		}
		if !s.take(',') {
			return nil, false
		}
	}
}

func (s *jsonScanner) string() (string, bool) {
	if !s.take('"') {
		return "", false
	}
	from := s.at
	var unescaped []byte
	for s.at < len(s.text) {
		switch character := s.text[s.at]; {
		case character < 0x20:
			return "", false
		case character == '"':
			text := s.text[from:s.at]
			s.at++
			if unescaped == nil {
				return text, true
			}
			return string(append(unescaped, text...)), true
		case character == '\\':
			unescaped = append(unescaped, s.text[from:s.at]...)
			var ok bool
			if unescaped, ok = s.escape(unescaped); !ok {
				return "", false
			}
			from = s.at
		default:
			s.at++
		}
	}
	return "", false
}

func (s *jsonScanner) escape(text []byte) ([]byte, bool) {
	if s.at+1 >= len(s.text) {
		return nil, false
	}
	letter := s.text[s.at+1]
	if letter == 'u' {
		return s.unicodeEscape(text)
	}
	const letters, meanings = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	index := strings.IndexByte(letters, letter)
	if index < 0 {
		return nil, false
	}
	s.at += 2
	return append(text, meanings[index]), true
}

func (s *jsonScanner) unicodeEscape(text []byte) ([]byte, bool) {
	unit, ok := s.hexUnit(s.at)
	if !ok {
		return nil, false
	}
	s.at += 6
	if unit < 0xd800 || unit > 0xdfff {
		return utf8.AppendRune(text, rune(unit)), true
	}
	if low, follows := s.hexUnit(s.at); unit <= 0xdbff && follows && low >= 0xdc00 && low <= 0xdfff {
		s.at += 6
		return utf8.AppendRune(text, rune(0x10000+(unit-0xd800)<<10+(low-0xdc00))), true
	}
	return append(text, byte(0xe0|unit>>12), byte(0x80|unit>>6&0x3f), byte(0x80|unit&0x3f)), true
}

// hexUnit reads the UTF-16 code unit of an escape such as \u00e9.
func (s *jsonScanner) hexUnit(at int) (int, bool) {
	if len(s.text) < at+6 || s.text[at] != '\\' || s.text[at+1] != 'u' {
		return 0, false
	}
	unit := 0
	for _, digit := range []byte(s.text[at+2 : at+6]) {
		switch {
		case digit >= '0' && digit <= '9':
			unit = unit<<4 | int(digit-'0')
		case digit|0x20 >= 'a' && digit|0x20 <= 'f':
			unit = unit<<4 | int(digit|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return unit, true
}

func (s *jsonScanner) number() (any, bool) {
	from := s.at
	s.take('-')
	if !s.take('0') && !s.digits() {
		return nil, false
	}
	if s.peek() == '.' {
		s.at++
		if !s.digits() {
			return nil, false
		}
	}
	if s.peek()|0x20 == 'e' {
		s.at++
		if !s.take('+') {
			s.take('-')
		}
		if !s.digits() {
			return nil, false
		}
	}
	// Out of range, the error comes with an infinity.
	number, _ := strconv.ParseFloat(s.text[from:s.at], 64)
	return number, true
}

func (s *jsonScanner) digits() bool {
	from := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at > from
}

// utf16Length counts UTF-16 code units, as every verifier of the corpus does.
func utf16Length(text string) int {
	length := 0
	for at := 0; at < len(text); {
		character, size := utf8.DecodeRuneInString(text[at:])
		if character == utf8.RuneError && size == 1 {
			// A lone surrogate.
			size = 3
		}
		if character > 0xffff {
			length++
		}
		length++
		at += size
	}
	return length
}

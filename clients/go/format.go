package postern

import (
	"encoding/base64"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// maxTokenBytes bounds what is parsed. Postern's own tokens have less than 1536 bytes.
const maxTokenBytes = 8192

// header is the header of a token. It has no other members.
type header struct {
	alg    string
	kid    string
	hasKid bool
	typ    string
}

// unverified is a well-formed token, whose signature has not been checked.
type unverified struct {
	header    header
	claims    map[string]any
	signed    string
	signature string
}

// parseToken checks the format of a token before its signature: three segments of canonical base64url, a header with
// no members but alg, kid and typ (so no crit, b64, zip, jwk or jku), and claims that every JSON parser reads alike.
func parseToken(token string) (unverified, *Refusal) {
	var none unverified
	first := strings.IndexByte(token, '.')
	last := strings.LastIndexByte(token, '.')
	if first <= 0 || last <= first+1 || last == len(token)-1 || strings.IndexByte(token[first+1:last], '.') >= 0 {
		return none, refusedSegments
	}
	headerText, claimsText, signature := token[:first], token[first+1:last], token[last+1:]
	if !isCanonicalBase64url(headerText) || !isCanonicalBase64url(claimsText) || !isCanonicalBase64url(signature) {
		return none, refusedNotCanonical
	}
	header, refused := parseHeaderCached(headerText)
	if refused != nil {
		return none, refused
	}
	claims, ok := decodeObject(claimsText)
	if !ok {
		return none, refusedClaimsJSON
	}
	return unverified{header, claims, token[:last], signature}, nil
}

type cachedHeader struct {
	segment string
	header  header
}

// lastHeader is the last valid header: all tokens of one key have the same one.
var lastHeader atomic.Pointer[cachedHeader]

func parseHeaderCached(segment string) (header, *Refusal) {
	if last := lastHeader.Load(); last != nil && last.segment == segment {
		return last.header, nil
	}
	parsed, refused := parseHeader(segment)
	if refused == nil {
		lastHeader.Store(&cachedHeader{strings.Clone(segment), parsed})
	}
	return parsed, refused
}

func parseHeader(segment string) (header, *Refusal) {
	var parsed header
	members, ok := decodeObject(segment)
	if !ok {
		return parsed, refusedHeaderJSON
	}
	for name := range members {
		if name != "alg" && name != "kid" && name != "typ" {
			return parsed, refusedHeader
		}
	}
	alg, isText := members["alg"].(string)
	if !isText {
		return parsed, refusedHeaderTypes
	}
	parsed.alg = alg
	if kid, present := members["kid"]; present {
		if parsed.kid, isText = kid.(string); !isText {
			return parsed, refusedHeaderTypes
		}
		parsed.hasKid = true
	}
	if typ, present := members["typ"]; present {
		if parsed.typ, isText = typ.(string); !isText {
			return parsed, refusedHeaderTypes
		}
	}
	if length := utf16Length(parsed.kid); parsed.hasKid && (length < 1 || length > 128) {
		return parsed, refusedKidLength
	}
	return parsed, nil
}

func decodeObject(segment string) (map[string]any, bool) {
	text, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil || !utf8.Valid(text) {
		return nil, false
	}
	return parseStrictJSON(string(text))
}

// notBase64url marks bytes outside the alphabet of RFC 4648 section 5.
const notBase64url = 0xff

var sixBits = func() (table [256]byte) {
	for index := range table {
		table[index] = notBase64url
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for value := range len(alphabet) {
		table[alphabet[value]] = byte(value)
	}
	return table
}()

// isCanonicalBase64url refuses padding, line breaks (which encoding/base64 skips, even in strict mode) and unused bits
// that are not zero: otherwise one signed token would have many texts.
func isCanonicalBase64url(text string) bool {
	var last byte
	for index := range len(text) {
		if last = sixBits[text[index]]; last == notBase64url {
			return false
		}
	}
	switch len(text) % 4 {
	case 0:
		return true
	case 2:
		return last&0b1111 == 0
	case 3:
		return last&0b11 == 0
	default:
		return false
	}
}

// isAccessTokenType compares typ as RFC 9068 section 4 says. Only ASCII folds: a longer spelling of a letter has more
// bytes.
func isAccessTokenType(typ string) bool {
	const short, long = "at+jwt", "application/at+jwt"
	return len(typ) == len(short) && strings.EqualFold(typ, short) ||
		len(typ) == len(long) && strings.EqualFold(typ, long)
}

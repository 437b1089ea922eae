package postern

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
)

// verificationKey is a public key and the only algorithm that it verifies with. The header of a token does not choose it.
type verificationKey struct {
	kid            string
	algorithm      string
	signatureBytes int
	matches        func(signed, signature []byte) bool
}

// keyRing has the keys by their kid. It never changes.
type keyRing map[string]*verificationKey

// algorithm describes the keys of one algorithm (RFC 7518 section 3.1, RFC 8037).
type algorithm struct {
	kty, crv string
	members  []string
	// thumbprint is the format of RFC 7638 section 3.2 for the values of members.
	thumbprint string
}

var algorithms = map[string]algorithm{
	"ES256": {"EC", "P-256", []string{"x", "y"}, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`},
	"EdDSA": {"OKP", "Ed25519", []string{"x"}, `{"crv":"Ed25519","kty":"OKP","x":"%s"}`},
	"RS256": {"RSA", "", []string{"e", "n"}, `{"e":"%s","kty":"RSA","n":"%s"}`},
}

// The maximum bounds the time of a verification, which the key of an attacker could otherwise choose.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

// errNoKeys is the cause of an empty key set.
var errNoKeys = errors.New("the service publishes no keys: it has none yet, or signs with a shared secret " +
	"(POSTERN_ALGORITHM=HS256). Only the service itself can verify HS256 tokens: call its VerifyToken, or set POSTERN_ALGORITHM=ES256")

// readKeySet returns the usable keys of a JWKS (RFC 7517 section 5). Keys that break a rule are ignored; without any usable
// key, the error is that of the first.
func readKeySet(text []byte) (keyRing, error) {
	document, err := decodeJSON(text)
	if err != nil {
		return nil, errors.New("the key set is not JSON")
	}
	set, _ := document.(map[string]any)
	members, ok := set["keys"].([]any)
	if !ok {
		return nil, errors.New("the key set has no array 'keys'")
	}
	if len(members) == 0 {
		return nil, errNoKeys
	}
	ring := keyRing{}
	var firstRefused error
	for _, member := range members {
		key, err := readKey(member)
		if err != nil {
			if firstRefused == nil {
				firstRefused = fmt.Errorf("the key is refused: %w", err)
			}
			continue
		}
		if _, repeated := ring[key.kid]; repeated {
			return nil, errors.New("two keys of the key set have the same kid")
		}
		ring[key.kid] = key
	}
	if len(ring) == 0 {
		return nil, firstRefused
	}
	return ring, nil
}

// decodeJSON keeps numbers as text: a number beyond the range of a double is no reason to refuse the whole document.
func decodeJSON(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text follows the document")
	}
	return document, nil
}

// readKey imports a public key as untrusted input. The kid must be its RFC 7638 thumbprint, and private or unknown members
// are refused: a private key that was published by mistake must not be used.
func readKey(member any) (*verificationKey, error) {
	jwk, ok := member.(map[string]any)
	if !ok {
		return nil, errors.New("it is not a JSON object")
	}
	name, _ := jwk["alg"].(string)
	row, ok := algorithms[name]
	if !ok {
		return nil, errors.New("alg must be ES256, RS256 or EdDSA")
	}
	crv, hasCrv := jwk["crv"]
	if jwk["kty"] != row.kty || hasCrv != (row.crv != "") || hasCrv && crv != row.crv {
		return nil, errors.New("kty or crv does not match alg")
	}
	if jwk["use"] != "sig" {
		return nil, errors.New("use must be sig")
	}
	kid, ok := jwk["kid"].(string)
	if !ok {
		return nil, errors.New("kid must be a string")
	}
	known := append([]string{"kty", "crv", "kid", "alg", "use"}, row.members...)
	for member := range jwk {
		if !slices.Contains(known, member) {
			return nil, fmt.Errorf("it has members other than %v", known)
		}
	}
	var texts []any
	var values [][]byte
	for _, member := range row.members {
		text, _ := jwk[member].(string)
		value, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || text == "" || !isCanonicalBase64url(text) {
			return nil, fmt.Errorf("%s must be base64url", member)
		}
		texts, values = append(texts, text), append(values, value)
	}
	key, err := importKey(name, values)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(fmt.Appendf(nil, row.thumbprint, texts...))
	if base64.RawURLEncoding.EncodeToString(digest[:]) != kid {
		return nil, errors.New("kid is not its RFC 7638 thumbprint")
	}
	key.kid, key.algorithm = kid, name
	return key, nil
}

func importKey(algorithm string, values [][]byte) (*verificationKey, error) {
	switch algorithm {
	case "ES256":
		return importECDSA(values[0], values[1])
	case "EdDSA":
		return importEd25519(values[0])
	default:
		return importRSA(values[0], values[1])
	}
}

func importECDSA(x, y []byte) (*verificationKey, error) {
	if len(x) != 32 || len(y) != 32 {
		return nil, errors.New("x and y must be 32 bytes")
	}
	point := slices.Concat([]byte{4}, x, y)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, errors.New("its values are not a public key of the algorithm")
	}
	matches := func(signed, signature []byte) bool {
		digest := sha256.Sum256(signed)
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(key, digest[:], r, s)
	}
	return &verificationKey{signatureBytes: 64, matches: matches}, nil
}

func importEd25519(x []byte) (*verificationKey, error) {
	if len(x) != ed25519.PublicKeySize {
		return nil, errors.New("x must be 32 bytes")
	}
	key := ed25519.PublicKey(x)
	matches := func(signed, signature []byte) bool { return ed25519.Verify(key, signed, signature) }
	return &verificationKey{signatureBytes: ed25519.SignatureSize, matches: matches}, nil
}

func importRSA(exponent, modulus []byte) (*verificationKey, error) {
	if !bytes.Equal(exponent, []byte{1, 0, 1}) {
		return nil, errors.New("e must be 65537")
	}
	number := new(big.Int).SetBytes(modulus)
	if bits := number.BitLen(); modulus[0] == 0 || number.Bit(0) == 0 || bits < minRSABits || bits > maxRSABits {
		return nil, fmt.Errorf("n must have %d to %d bits and be odd", minRSABits, maxRSABits)
	}
	if isROCA(number) {
		return nil, errors.New("n was made by a key generator whose keys can be factored (CVE-2017-15361)")
	}
	key := &rsa.PublicKey{N: number, E: 65537}
	matches := func(signed, signature []byte) bool {
		digest := sha256.Sum256(signed)
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	}
	return &verificationKey{signatureBytes: len(modulus), matches: matches}, nil
}

var rocaPrimes = []int64{
	3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
	127, 131, 137, 139, 149, 151, 157, 163, 167,
}

// isROCA says whether a modulus is a power of 65537 modulo every small prime, as those of the faulty generator of some
// smart cards are (Nemec et al., "The Return of Coppersmith's Attack", CCS 2017, section 2.3).
func isROCA(modulus *big.Int) bool {
	for _, prime := range rocaPrimes {
		remainder := new(big.Int).Mod(modulus, big.NewInt(prime)).Int64()
		power := int64(1)
		for range prime {
			if power == remainder {
				break
			}
			power = power * 65537 % prime
		}
		if power != remainder {
			return false
		}
	}
	return true
}

package postern

import (
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern.example/clients/go/posternpb"
)

const (
	apiKeyPrefix   = "pak_"
	apiKeyLength   = len(apiKeyPrefix) + 49
	checksumLength = 6
	base62         = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// isAPIKey says whether a credential is an API key, valid or not. No token begins so: its header would be no JSON.
func isAPIKey(credential string) bool { return strings.HasPrefix(credential, apiKeyPrefix) }

// keyDigest is the SHA-256 digest of an API key. The key itself is not kept.
type keyDigest [sha256.Size]byte

// digestOfAPIKey is false for a text that no service has issued: the last six characters of a key are the CRC-32 of those
// before, in base62. Mistyped keys and junk cost no call.
func digestOfAPIKey(key string) (keyDigest, bool) {
	if len(key) != apiKeyLength || !isAPIKey(key) {
		return keyDigest{}, false
	}
	for index := len(apiKeyPrefix); index < len(key); index++ {
		if strings.IndexByte(base62, key[index]) < 0 {
			return keyDigest{}, false
		}
	}
	body := len(key) - checksumLength
	checksum := crc32.ChecksumIEEE([]byte(key[:body]))
	for index := len(key) - 1; index >= body; index-- {
		if key[index] != base62[checksum%62] {
			return keyDigest{}, false
		}
		checksum /= 62
	}
	return sha256.Sum256([]byte(key)), true
}

// apiKeyGrant is what an API key may do, as the service has answered. It never changes.
type apiKeyGrant struct {
	claims *Claims
	// revocationID is revoked when the key or its owner has changed.
	revocationID string
	// isRestricted says that the key has networks, even where none of them can be read.
	isRestricted bool
	networks     []netip.Prefix
	// usableUntil is the end of the time for which the answer may be used, by both clocks: the monotonic one stands still
	// while a machine sleeps, and the other one may be set back.
	usableUntil instant
	// expiresAtNs is when the key expires; Unix time.
	expiresAtNs int64
}

var errUnusableGrant = errors.New("the answer has no subject or no id that this verifier can use: it may be too old for this Postern")

// grantOf reads the answer to a question that was asked at a time.
func grantOf(answer *posternpb.ApiKeyGrant, issuer string, askedAt instant) (*apiKeyGrant, error) {
	claims := &Claims{
		Subject:        answer.GetSubject(),
		SubjectName:    answer.GetSubjectName(),
		TokenID:        answer.GetId(),
		ExternalID:     answer.GetExternalId(),
		Issuer:         issuer,
		Audience:       []string{answer.GetAudience()},
		Roles:          answer.GetRoles(),
		IssuedAt:       answer.GetCreatedAt().AsTime(),
		CredentialKind: CredentialAPIKey,
	}
	switch answer.GetSubjectType() {
	case posternpb.SubjectType_USER:
		claims.SubjectType = SubjectUser
	case posternpb.SubjectType_SERVICE:
		claims.SubjectType, claims.ClientID = SubjectService, claims.Subject
	default:
		return nil, errUnusableGrant
	}
	if !isIdentifier(claims.Subject) || !isIdentifier(claims.TokenID) {
		return nil, errUnusableGrant
	}
	maxAge := int64(answer.GetMaxAge()) * int64(time.Second)
	grant := &apiKeyGrant{
		claims:       claims,
		revocationID: answer.GetRevocationId(),
		isRestricted: len(answer.GetAllowedNetworks()) > 0,
		usableUntil:  instant{askedAt.wallNs + maxAge, askedAt.monotonicNs + maxAge},
		expiresAtNs:  math.MaxInt64,
	}
	if expiresAt := answer.GetExpiresAt(); expiresAt != nil {
		claims.ExpiresAt = expiresAt.AsTime()
		grant.expiresAtNs = claims.ExpiresAt.UnixNano()
	}
	for _, text := range answer.GetAllowedNetworks() {
		if network, err := netip.ParsePrefix(text); err == nil {
			grant.networks = append(grant.networks, network)
		}
	}
	return grant, nil
}

// allows says whether the key may be used from an address. An unknown address is in no network.
func (g *apiKeyGrant) allows(address netip.Addr) bool {
	if !g.isRestricted {
		return true
	}
	// A network of IPv6 may cover the IPv4 addresses in it (RFC 4291 section 2.5.5.2), as ::/0 does.
	embedded := netip.Addr{}
	if address.Is4() {
		embedded = netip.AddrFrom16(address.As16())
	}
	return slices.ContainsFunc(g.networks, func(network netip.Prefix) bool {
		return network.Contains(address) || network.Contains(embedded)
	})
}

// grantState says whether an answer may still be used.
type grantState int

const (
	grantUsable grantState = iota
	// grantOutdated: the service has to be asked again.
	grantOutdated
	// grantEnded: the key has ended, and no answer makes it valid again.
	grantEnded
)

// state compares the grant with all revocations that are known, not only with later ones: the instance that answered may
// have been behind the one of the stream.
func (g *apiKeyGrant) state(revoked *revocationSet, now instant) grantState {
	switch {
	case revoked.hasToken(g.claims.TokenID), now.wallNs >= g.expiresAtNs:
		return grantEnded
	case revoked.hasToken(g.revocationID), now.wallNs >= g.usableUntil.wallNs, now.monotonicNs >= g.usableUntil.monotonicNs:
		return grantOutdated
	default:
		return grantUsable
	}
}

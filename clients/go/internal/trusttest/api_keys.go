package trusttest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"math/big"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"postern.example/clients/go/posternpb"
)

// apiKeys are those that ResolveApiKey answers.
type apiKeys struct {
	grants  map[[sha256.Size]byte]*posternpb.ApiKeyGrant
	lookups int
	// open and mostOpen count the calls in progress.
	open, mostOpen int
	bearers        []string
	hold           chan struct{}
	fail           error
}

// NewAPIKey makes a key that no service knows.
func NewAPIKey() string {
	random := make([]byte, 32)
	// It never fails.
	_, _ = rand.Read(random)
	body := "pak_" + base62(new(big.Int).SetBytes(random), 43)
	return body + base62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(body)))), 6)
}

func base62(value *big.Int, length int) string {
	// The alphabet of math/big has the small letters first.
	text := strings.Map(func(digit rune) rune {
		switch {
		case digit >= 'a' && digit <= 'z':
			return digit - 'a' + 'A'
		case digit >= 'A' && digit <= 'Z':
			return digit - 'A' + 'a'
		default:
			return digit
		}
	}, value.Text(62))
	return strings.Repeat("0", length-len(text)) + text
}

// APIKeyGrant is what the API key of a user may do, for ten minutes.
func APIKeyGrant() *posternpb.ApiKeyGrant {
	return &posternpb.ApiKeyGrant{
		Id: newUUID(), RevocationId: newUUID(), Subject: "7f3c", SubjectType: posternpb.SubjectType_USER,
		Roles: []string{"editor"}, Audience: Audience, CreatedAt: timestamppb.Now(), MaxAge: 600,
	}
}

func newUUID() string {
	text := strings.ToLower(rand.Text() + rand.Text())
	hex := strings.Map(func(letter rune) rune { return rune("0123456789abcdef"[letter%16]) }, text)
	return hex[:8] + "-" + hex[8:12] + "-" + hex[12:16] + "-" + hex[16:20] + "-" + hex[20:32]
}

// SetAPIKey makes a key valid, or changes what it may do; nil makes it unknown.
func (s *Service) SetAPIKey(key string, grant *posternpb.ApiKeyGrant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.apiKeys.grants == nil {
		s.apiKeys.grants = map[[sha256.Size]byte]*posternpb.ApiKeyGrant{}
	}
	digest := sha256.Sum256([]byte(key))
	delete(s.apiKeys.grants, digest)
	if grant != nil {
		s.apiKeys.grants[digest] = proto.CloneOf(grant)
	}
}

// RevokeID revokes a token, or an API key, by its id.
func RevokeID(id string) *posternpb.Revocation {
	return &posternpb.Revocation{
		Revoked:   &posternpb.Revocation_TokenId{TokenId: id},
		ExpiresAt: uint64(time.Now().Unix()) + 780,
	}
}

// HoldLookups lets later look-ups wait until the result is called.
func (s *Service) HoldLookups() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hold := make(chan struct{})
	s.apiKeys.hold = hold
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.apiKeys.hold == hold {
			s.apiKeys.hold = nil
			close(hold)
		}
	}
}

// FailLookups answers later look-ups with an error; nil serves them again.
func (s *Service) FailLookups(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apiKeys.fail = err
}

// Lookups is how many look-ups there were, and how many at the same time at most.
func (s *Service) Lookups() (count, mostOpen int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apiKeys.lookups, s.apiKeys.mostOpen
}

// LookupBearers is the authorization of all look-ups.
func (s *Service) LookupBearers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.apiKeys.bearers...)
}

// ResolveApiKey implements the look-up.
func (s *Service) ResolveApiKey(ctx context.Context, request *posternpb.ResolveApiKeyRequest) (*posternpb.ApiKeyGrant, error) {
	s.mu.Lock()
	s.apiKeys.lookups++
	s.apiKeys.open++
	s.apiKeys.mostOpen = max(s.apiKeys.mostOpen, s.apiKeys.open)
	s.apiKeys.bearers = append(s.apiKeys.bearers, metadata.ValueFromIncomingContext(ctx, "authorization")...)
	hold := s.apiKeys.hold
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apiKeys.open--
	if s.apiKeys.fail != nil {
		return nil, s.apiKeys.fail
	}
	if len(request.GetKeySha256()) != sha256.Size {
		return nil, status.Error(codes.InvalidArgument, "a digest has 32 bytes")
	}
	grant := s.apiKeys.grants[[sha256.Size]byte(request.GetKeySha256())]
	if grant == nil {
		return nil, status.Error(codes.NotFound, "there is no such API key")
	}
	return proto.CloneOf(grant), nil
}

// Package trusttest is a Postern in the process of a test: it signs tokens, publishes keys and streams revocations.
package trusttest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"postern.example/clients/go/posternpb"
)

// Issuer and Audience are those of the tokens.
const (
	Issuer   = "https://auth.example"
	Audience = "orders"
)

// Key signs tokens with ES256.
type Key struct {
	private *ecdsa.PrivateKey
	Kid     string
	JWK     map[string]string
}

// NewKey makes a key whose kid is its thumbprint.
func NewKey(t testing.TB) *Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x, y := encode(point[1:33]), encode(point[33:])
	digest := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, x, y))
	kid := encode(digest[:])
	jwk := map[string]string{"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "alg": "ES256", "use": "sig"}
	return &Key{private, kid, jwk}
}

// Public is the public key, to verify a signature with nothing around it.
func (k *Key) Public() *ecdsa.PublicKey { return &k.private.PublicKey }

// JWKS is the text of a key set.
func JWKS(keys ...*Key) string {
	jwks := []map[string]string{}
	for _, key := range keys {
		jwks = append(jwks, key.JWK)
	}
	text, err := json.Marshal(map[string]any{"keys": jwks})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Token signs a token of a user, who has the session id; changes replace claims.
func (k *Key) Token(t testing.TB, sessionID string, changes map[string]any) string {
	t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": Issuer, "aud": Audience, "sub": "7f3c", "client_id": "postern", "sid": sessionID, "jti": rand.Text(),
		"iat": now, "exp": now + 600, "roles": []string{"editor"},
	}
	for name, value := range changes {
		claims[name] = value
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed := encode(fmt.Appendf(nil, `{"alg":"ES256","kid":%q,"typ":"at+jwt"}`, k.Kid)) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + encode(signature)
}

func encode(bytes []byte) string { return base64.RawURLEncoding.EncodeToString(bytes) }

// Service is the stream and the service account orders with the secret "secret".
type Service struct {
	posternpb.UnimplementedTrustServiceServer
	posternpb.UnimplementedAuthServiceServer
	Address string
	Key     *Key
	server  *grpc.Server

	mu       sync.Mutex
	keys     string
	revoked  []*posternpb.Revocation
	streams  map[chan *posternpb.TrustUpdate]context.CancelCauseFunc
	cursors  []string
	bearers  []string
	issued   int
	lifetime uint32
	refuse   error
	silent   bool
	apiKeys  apiKeys
	// workload is the token of a workload that is bound.
	workload  string
	exchanges []*posternpb.ExchangeTokenRequest
}

// Start serves on a free port of this machine until the end of the test.
func Start(t testing.TB) *Service {
	t.Helper()
	key := NewKey(t)
	s := &Service{Key: key, keys: JWKS(key), streams: map[chan *posternpb.TrustUpdate]context.CancelCauseFunc{}, lifetime: 600}
	s.Listen(t, "127.0.0.1:0")
	t.Cleanup(s.Stop)
	return s
}

// Listen serves on an address, again after Stop.
func (s *Service) Listen(t testing.TB, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s.Address = listener.Addr().String()
	s.server = grpc.NewServer()
	posternpb.RegisterTrustServiceServer(s.server, s)
	posternpb.RegisterAuthServiceServer(s.server, s)
	go func() { _ = s.server.Serve(listener) }()
}

// Stop ends the service as a crash does.
func (s *Service) Stop() { s.server.Stop() }

// SetKeys publishes other keys.
func (s *Service) SetKeys(jwks string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = jwks
	s.broadcast(s.keysUpdate())
}

// Revoke revokes and tells all streams.
func (s *Service) Revoke(revocations ...*posternpb.Revocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = append(s.revoked, revocations...)
	s.broadcast(s.update(&posternpb.TrustUpdate_Revocations{Revocations: &posternpb.Revocations{Revocations: revocations}}))
}

// Session revokes a session by its name.
func Session(name string) *posternpb.Revocation {
	return &posternpb.Revocation{
		Revoked:   &posternpb.Revocation_SessionName{SessionName: name},
		ExpiresAt: uint64(time.Now().Unix()) + 605,
	}
}

// EndStreams ends all streams with an error.
func (s *Service) EndStreams(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cancel := range s.streams {
		cancel(err)
	}
}

// Refuse answers later streams with an error; nil serves them again.
func (s *Service) Refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

// BeSilent lets later streams open without any update.
func (s *Service) BeSilent(silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = silent
}

// SetLifetime is that of the next tokens of the service account, in seconds.
func (s *Service) SetLifetime(seconds uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime = seconds
}

// Seen returns the cursors and authorization of all streams, and how many tokens the service account got.
func (s *Service) Seen() (cursors, bearers []string, issued int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.cursors...), append([]string{}, s.bearers...), s.issued
}

// Open is how many streams are open.
func (s *Service) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

// WatchTrust implements the stream: keys, the whole list, a heartbeat, and every change.
func (s *Service) WatchTrust(request *posternpb.WatchTrustRequest, stream grpc.ServerStreamingServer[posternpb.TrustUpdate]) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	updates := make(chan *posternpb.TrustUpdate, 1000)
	s.mu.Lock()
	s.cursors = append(s.cursors, request.GetCursor())
	s.bearers = append(s.bearers, metadata.ValueFromIncomingContext(ctx, "authorization")...)
	if s.refuse != nil {
		defer s.mu.Unlock()
		return s.refuse
	}
	if !s.silent {
		list := &posternpb.Revocations{Revocations: s.revoked, Complete: true, Snapshot: true}
		updates <- s.keysUpdate()
		updates <- s.update(&posternpb.TrustUpdate_Revocations{Revocations: list})
		updates <- s.update(&posternpb.TrustUpdate_Heartbeat{Heartbeat: &posternpb.Heartbeat{}})
	}
	s.streams[updates] = cancel
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.streams, updates)
	}()
	for {
		select {
		case update := <-updates:
			if err := stream.Send(update); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// IssueServiceToken implements the service account.
func (s *Service) IssueServiceToken(_ context.Context, request *posternpb.IssueServiceTokenRequest) (*posternpb.TokenSet, error) {
	if request.GetClientId() != "orders" || request.GetClientSecret() != "secret" {
		return nil, status.Error(codes.Unauthenticated, "the credentials are wrong")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued++
	return &posternpb.TokenSet{AccessToken: fmt.Sprintf("token-%d", s.issued), ExpiresIn: s.lifetime}, nil
}

func (s *Service) keysUpdate() *posternpb.TrustUpdate {
	keys := &posternpb.TrustedKeys{Jwks: s.keys, Issuer: Issuer, Audiences: []string{Audience}, MaxLifetime: 600, ClockSkew: 5}
	return s.update(&posternpb.TrustUpdate_Keys{Keys: keys})
}

// update makes an update at the cursor that counts the revocations.
func (s *Service) update(content any) *posternpb.TrustUpdate {
	update := &posternpb.TrustUpdate{Cursor: fmt.Sprint(len(s.revoked))}
	switch content := content.(type) {
	case *posternpb.TrustUpdate_Keys:
		update.Update = content
	case *posternpb.TrustUpdate_Revocations:
		update.Update = content
	case *posternpb.TrustUpdate_Heartbeat:
		update.Update = content
	}
	return update
}

func (s *Service) broadcast(update *posternpb.TrustUpdate) {
	for updates := range s.streams {
		updates <- update
	}
}

// Until waits for a condition, at most ten seconds.
func Until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

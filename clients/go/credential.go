package postern

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"postern.example/clients/go/posternpb"
)

const (
	// A token is renewed after this share of its lifetime; the random part spreads the renewals of many processes.
	renewAtShare     = 0.75
	renewAtSpread    = 0.1
	renewalTimeout   = 5 * time.Second
	pauseAfterFailed = 2 * time.Second
	// minTokenLife: a refused token younger than this is kept, since a new one would be refused as well, in a loop.
	minTokenLife = time.Second
)

// TokenSource has access tokens for calls. [ServiceCredential] is one.
type TokenSource interface {
	// Token returns a token that has not expired.
	Token(ctx context.Context) (string, error)
}

// ServiceCredential has the access tokens of a service account: fetched at the first use, renewed before they expire, and
// shared by concurrent callers. It is a [TokenSource] and, for grpc.WithPerRPCCredentials, a
// [credentials.PerRPCCredentials].
type ServiceCredential struct {
	// issue gets a token with an audience; an empty one is the default.
	issue          func(ctx context.Context, audience string) (*posternpb.TokenSet, error)
	audience       string
	allowPlaintext bool
	close          func() error
	clock          func() instant

	mu       sync.Mutex
	token    *issuedToken
	fetching *fetchingToken
	// pausedUntilNs is when a failed renewal of a token that has not expired is tried again; monotonic.
	pausedUntilNs int64
}

var _ credentials.PerRPCCredentials = (*ServiceCredential)(nil)
var _ TokenSource = (*ServiceCredential)(nil)

// issuedToken has monotonic times in nanoseconds.
type issuedToken struct {
	text                            string
	issuedAtNs, renewAtNs, expireNs int64
}

type fetchingToken struct {
	done  chan struct{}
	token *issuedToken
	err   error
}

// CredentialOption changes a service credential.
type CredentialOption func(*ServiceCredential)

// WithAudience asks for tokens with this audience, in place of the first one of the service. Postern itself accepts only
// tokens for its own audience.
func WithAudience(audience string) CredentialOption {
	return func(c *ServiceCredential) { c.audience = audience }
}

// WithPlaintext lets grpc-go send the tokens over connections without TLS, such as those to another process of this
// machine.
func WithPlaintext() CredentialOption {
	return func(c *ServiceCredential) { c.allowPlaintext = true }
}

// NewServiceCredential makes the credential of a service account, with its own connection to Postern.
func NewServiceCredential(upstream Upstream, clientID, clientSecret string, with ...CredentialOption) (*ServiceCredential, error) {
	account := &serviceAccount{clientID, clientSecret}
	return connectCredential(upstream, account, with)
}

// identity is what a service account proves who it is with.
type identity interface {
	validate() error
	// issuer gets tokens of the account.
	issuer(posternpb.AuthServiceClient) func(ctx context.Context, audience string) (*posternpb.TokenSet, error)
}

type serviceAccount struct{ id, secret string }

func (a *serviceAccount) validate() error {
	if a.id == "" || a.secret == "" {
		return errors.New("postern: the service account needs its client id and its client secret")
	}
	return nil
}

func (a *serviceAccount) issuer(client posternpb.AuthServiceClient) func(context.Context, string) (*posternpb.TokenSet, error) {
	return func(ctx context.Context, audience string) (*posternpb.TokenSet, error) {
		request := &posternpb.IssueServiceTokenRequest{ClientId: a.id, ClientSecret: a.secret, Audience: audience}
		return client.IssueServiceToken(ctx, request)
	}
}

func connectCredential(upstream Upstream, account identity, with []CredentialOption) (*ServiceCredential, error) {
	if err := account.validate(); err != nil {
		return nil, err
	}
	connection, err := upstream.dial()
	if err != nil {
		return nil, err
	}
	credential := newServiceCredential(connection, account)
	credential.close = connection.Close
	for _, option := range with {
		option(credential)
	}
	return credential, nil
}

func newServiceCredential(connection grpc.ClientConnInterface, account identity) *ServiceCredential {
	return &ServiceCredential{
		issue: account.issuer(posternpb.NewAuthServiceClient(connection)),
		close: func() error { return nil },
		clock: systemClock,
	}
}

// Close closes the connection to Postern.
func (c *ServiceCredential) Close() error { return c.close() }

// Token returns the access token. It waits for the service only without a token that has not expired: one that is due for
// renewal is returned while the next one is fetched, so that a service that does not answer delays no call.
func (c *ServiceCredential) Token(ctx context.Context) (string, error) {
	now := c.clock().monotonicNs
	c.mu.Lock()
	known := c.token
	isUsable := known != nil && now < known.expireNs
	if isUsable && now >= known.renewAtNs && now >= c.pausedUntilNs {
		c.startFetch()
	}
	c.mu.Unlock()
	if isUsable {
		return known.text, nil
	}
	renewed, err := c.renewed(ctx)
	if err != nil {
		return "", fmt.Errorf("postern: %w", err)
	}
	return renewed.text, nil
}

// Forget drops a token that a service refused, because its key was revoked, say. A newer one stays.
func (c *ServiceCredential) Forget(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != nil && c.token.text == token && c.clock().monotonicNs-c.token.issuedAtNs >= int64(minTokenLife) {
		c.token = nil
	}
}

// GetRequestMetadata implements [credentials.PerRPCCredentials].
func (c *ServiceCredential) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := c.Token(ctx)
	if ctxErr := ctx.Err(); err != nil && ctxErr != nil {
		// grpc-go makes an Unauthenticated of any error that has no status.
		return nil, status.FromContextError(ctxErr).Err()
	}
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity implements [credentials.PerRPCCredentials].
func (c *ServiceCredential) RequireTransportSecurity() bool { return !c.allowPlaintext }

func (c *ServiceCredential) next(ctx context.Context) (string, int64, error) {
	token, err := c.renewed(ctx)
	if err != nil {
		return "", 0, err
	}
	return token.text, token.renewAtNs, nil
}

func (c *ServiceCredential) forget(token string) { c.Forget(token) }

// renewed returns a token that is not due for renewal. Concurrent callers share one request. It has no caller's context:
// neither its end, nor the metadata that it has for another service.
func (c *ServiceCredential) renewed(ctx context.Context) (*issuedToken, error) {
	c.mu.Lock()
	if c.token != nil && c.clock().monotonicNs < c.token.renewAtNs {
		defer c.mu.Unlock()
		return c.token, nil
	}
	fetching := c.startFetch()
	c.mu.Unlock()
	select {
	case <-fetching.done:
		return fetching.token, fetching.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// startFetch returns the request in progress, or a new one; c.mu is locked.
func (c *ServiceCredential) startFetch() *fetchingToken {
	if c.fetching == nil {
		c.fetching = &fetchingToken{done: make(chan struct{})}
		go c.fetch(c.fetching)
	}
	return c.fetching
}

func (c *ServiceCredential) fetch(fetching *fetchingToken) {
	ctx, cancel := context.WithTimeout(context.Background(), renewalTimeout)
	defer cancel()
	askedAt := c.clock().monotonicNs
	response, err := c.issue(ctx, c.audience)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fetching = nil
	defer close(fetching.done)
	if err != nil {
		c.pausedUntilNs = c.clock().monotonicNs + int64(pauseAfterFailed)
		fetching.err = fmt.Errorf("the service account got no token: %w", explain(err))
		return
	}
	life := int64(time.Duration(response.GetExpiresIn()) * time.Second)
	share := renewAtShare + renewAtSpread*rand.Float64()
	c.token = &issuedToken{response.GetAccessToken(), askedAt, askedAt + int64(float64(life)*share), askedAt + life}
	fetching.token = c.token
}

// refusesToken says whether the service does not accept the token of a call, so that a new one may help. One that it asks to step
// up is valid: a user has to prove something, and no renewal does that.
func refusesToken(err error) bool {
	answer := status.Convert(err)
	if answer.Code() != codes.Unauthenticated {
		return false
	}
	return !slices.ContainsFunc(answer.Details(), func(detail any) bool {
		info, ok := detail.(*errdetails.ErrorInfo)
		return ok && info.GetReason() == string(ReasonStepUpRequired)
	})
}

// sourceCredential authenticates a stream by the tokens of any source. It does not know when they expire, and need not: the
// service lets an open stream outlive its token.
type sourceCredential struct{ source TokenSource }

func credentialOf(source TokenSource) streamCredential {
	if credential, ok := source.(*ServiceCredential); ok {
		return credential
	}
	return sourceCredential{source}
}

func (c sourceCredential) next(ctx context.Context) (string, int64, error) {
	token, err := c.source.Token(ctx)
	if err != nil {
		return "", 0, fmt.Errorf("the token source has no access token for the stream: %w", err)
	}
	return token, noRenewal, nil
}

func (c sourceCredential) forget(token string) {
	if source, ok := c.source.(interface{ Forget(token string) }); ok {
		source.Forget(token)
	}
}

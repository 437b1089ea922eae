package postern

import (
	"errors"
	"log/slog"
	"time"
)

const (
	defaultMaxStaleness = 5 * time.Minute
	defaultCacheBytes   = 64 << 20
)

// Option changes a verifier.
type Option func(*options)

type options struct {
	credential   streamCredential
	account      identity
	maxStaleness time.Duration
	cacheBytes   int
	logger       *slog.Logger
}

// WithServiceAccount authenticates the stream by a service account, as `postern service create` printed it.
func WithServiceAccount(clientID, clientSecret string) Option {
	return func(o *options) { o.account = &serviceAccount{clientID, clientSecret} }
}

// WithWorkload authenticates the stream by a service account without a secret: see [Workload].
func WithWorkload(workload Workload) Option {
	return func(o *options) { o.account = &workload }
}

// WithTokenSource authenticates the stream by the tokens of the source, such as a [ServiceCredential] that others use, too.
func WithTokenSource(source TokenSource) Option {
	return func(o *options) { o.credential = credentialOf(source) }
}

// WithMaxStaleness sets how old keys and revocations may become, 5 minutes by default. Beyond it tokens are refused with
// [ReasonTrustStale]. The service confirms them every two seconds, so a limit below five refuses tokens without a fault.
func WithMaxStaleness(limit time.Duration) Option {
	return func(o *options) { o.maxStaleness = limit }
}

// WithCacheBytes sets the size of the cache of verified tokens, 64 MiB by default; 0 for none.
func WithCacheBytes(bytes int) Option {
	return func(o *options) { o.cacheBytes = bytes }
}

// WithLogger logs when the source connects, disconnects or sends unusable keys. There are no logs by default.
func WithLogger(logger *slog.Logger) Option {
	return func(o *options) { o.logger = logger }
}

func optionsOf(with []Option) (*options, error) {
	settings := &options{
		maxStaleness: defaultMaxStaleness,
		cacheBytes:   defaultCacheBytes,
		logger:       slog.New(slog.DiscardHandler),
	}
	for _, option := range with {
		option(settings)
	}
	switch {
	case settings.maxStaleness <= 0:
		return nil, errors.New("postern: the maximum staleness must be greater than 0")
	case settings.cacheBytes < 0:
		return nil, errors.New("postern: the size of the cache must not be negative")
	case settings.logger == nil:
		return nil, errors.New("postern: the logger is nil; leave WithLogger out for no logs")
	case settings.credential == sourceCredential{}:
		return nil, errors.New("postern: the token source is nil; leave WithTokenSource out for a stream without a credential")
	case settings.account != nil && settings.credential != nil:
		return nil, errors.New("postern: set a service account or a token source, not both")
	case settings.account != nil:
		return settings, settings.account.validate()
	}
	return settings, nil
}

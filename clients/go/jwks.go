package postern

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	fetchTimeout  = 5 * time.Second
	maxKeySetSize = 256 << 10
	defaultMaxAge = 5 * time.Minute
	minFresh      = time.Second
	maxFresh      = time.Hour
	// ageResolution: Age counts whole seconds.
	ageResolution = time.Second
	// refetchInterval: tokens with invented key ids must not make a verifier fetch the key set all the time.
	refetchInterval = 30 * time.Second
	// maxLifetimeSeconds is the longest lifetime that Postern allows for an access token.
	maxLifetimeSeconds = 86_400
	skewSeconds        = 5
)

// JWKS is a published key set. It has no revocations: a revoked token is accepted until it expires.
type JWKS struct {
	// URL of the key set; https, or http to this machine.
	URL string
	// Issuer is the required iss of tokens.
	Issuer string
	// Audiences: a token must name one of them.
	Audiences []string
	// Insecure allows an http URL of another machine, for a proxy in between that encrypts.
	Insecure bool
	// Transport is that of net/http by default.
	Transport http.RoundTripper
}

// NewJWKSVerifier makes a verifier that fetches keys from a URL, again and again when they are no longer fresh. It is for
// services that can live with tokens that outlast their revocation; [NewVerifier] knows revocations. A key that is not in
// the set makes the verifier fetch it early, at most every 30 seconds; the token itself is refused.
func NewJWKSVerifier(ctx context.Context, keys JWKS, with ...Option) (*Verifier, error) {
	settings, err := optionsOf(with)
	if err != nil {
		return nil, err
	}
	if settings.account != nil || settings.credential != nil {
		return nil, errors.New("postern: a key set is fetched without a credential; leave the service account out")
	}
	if err := keys.validate(); err != nil {
		return nil, err
	}
	v := newVerifier(settings)
	source := newKeySetSource(keys, v)
	v.keyMissing = source.askAgain
	v.start(ctx, source.run)
	return v, nil
}

func (k JWKS) validate() error {
	location, err := url.Parse(k.URL)
	switch {
	case err != nil || location.Host == "" || location.Scheme != "https" && location.Scheme != "http":
		return fmt.Errorf("postern: %q is not an http or https URL of a key set", k.URL)
	case location.Scheme == "http" && !k.Insecure && !isLoopbackHost(location.Hostname()):
		return fmt.Errorf("postern: the keys would be fetched from %s in plaintext; set an https URL, or Insecure if a proxy in between encrypts the connection", location.Host)
	case k.Issuer == "":
		return errors.New("postern: the issuer is missing")
	case len(k.Audiences) == 0 || slices.Contains(k.Audiences, ""):
		return errors.New("postern: name at least one audience")
	}
	return nil
}

// keySetSource feeds a verifier from a URL. A key set is fresh for its max-age, from when the service made it; the age of
// keys and revocations counts from the end of that time.
type keySetSource struct {
	url      string
	rules    policy
	client   *http.Client
	verifier *Verifier
	again    chan struct{}
	pause    retryPause
	// appliedMadeAt is when the applied key set was made; monotonic time in ns.
	appliedMadeAt int64
}

func newKeySetSource(keys JWKS, v *Verifier) *keySetSource {
	return &keySetSource{
		url: keys.URL,
		rules: policy{
			issuer: keys.Issuer, audiences: slices.Clone(keys.Audiences),
			maxLifetimeSeconds: maxLifetimeSeconds, skewSeconds: skewSeconds,
		},
		client: &http.Client{
			Transport: keys.Transport,
			Timeout:   fetchTimeout,
			CheckRedirect: func(request *http.Request, _ []*http.Request) error {
				return fmt.Errorf("the key set moved to %s; redirects are not followed, set its URL", request.URL.Redacted())
			},
		},
		verifier: v,
		again:    make(chan struct{}, 1),
		pause:    keySetPause(),
		// Any response is newer than none.
		appliedMadeAt: math.MinInt64 + int64(ageResolution),
	}
}

// askAgain asks for an early fetch and does not wait for it.
func (s *keySetSource) askAgain() {
	select {
	case s.again <- struct{}{}:
	default:
	}
}

func (s *keySetSource) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	notBefore := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.again:
			if time.Now().Before(notBefore) {
				continue
			}
			notBefore = time.Now().Add(refetchInterval)
		case <-timer.C:
		}
		timer.Reset(s.update(ctx))
	}
}

// update fetches the key set once and returns when to do so again.
func (s *keySetSource) update(ctx context.Context) time.Duration {
	askedAt := s.verifier.clock().monotonicNs
	ring, times, err := s.fetch(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.verifier.report(false, err)
		}
		return s.pause.next()
	}
	s.verifier.report(true, nil)
	madeAt, fresh := askedAt-int64(times.age), times.maxAge-times.age
	// Another cache may still have a copy from before a key was revoked: it does not bring the key back.
	if madeAt >= s.appliedMadeAt-int64(ageResolution) {
		s.appliedMadeAt = madeAt
		s.verifier.trust.replace(ring, s.rules)
		s.verifier.trust.confirm(askedAt + int64(fresh))
		if fresh > 0 {
			s.pause = keySetPause()
			return fresh
		}
	}
	// From a cache that keeps responses for too long: asking it without pauses would not make it forget.
	return s.pause.next()
}

// keySetPause grows from half a second to one, up to a minute. The first retry waits as well.
func keySetPause() retryPause {
	return retryPause{first: time.Second, limit: time.Minute, immediate: true}
}

func (s *keySetSource) fetch(ctx context.Context) (keyRing, cacheTimes, error) {
	var none cacheTimes
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, none, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, none, fmt.Errorf("the key set could not be fetched: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return nil, none, fmt.Errorf("the key set could not be fetched: the server answered with status %d", response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxKeySetSize+1))
	if err != nil {
		return nil, none, fmt.Errorf("the key set could not be fetched: %w", err)
	}
	if len(text) > maxKeySetSize {
		return nil, none, fmt.Errorf("the key set could not be fetched: the response is longer than %d KiB", maxKeySetSize>>10)
	}
	// A byte order mark, as some web servers serve text.
	ring, err := readKeySet(bytes.TrimPrefix(text, []byte("\ufeff")))
	if err != nil {
		return nil, none, fmt.Errorf("the key set of %s is not usable: %w", request.URL.Redacted(), err)
	}
	return ring, cacheTimesOf(response.Header), nil
}

// cacheTimes say for how long a response is fresh from when it was made, and how long ago that was (RFC 9111 section 4.2).
// Without the second, a key that was revoked would live on for as long again in the caches on the way.
type cacheTimes struct{ maxAge, age time.Duration }

var maxAgePattern = regexp.MustCompile(`^max-age="?(\d+)"?$`)

func cacheTimesOf(headers http.Header) cacheTimes {
	maxAge := time.Duration(-1)
	for _, directive := range listOf(headers, "Cache-Control") {
		directive = strings.ToLower(directive)
		seconds := time.Duration(0)
		if found := maxAgePattern.FindStringSubmatch(directive); found != nil {
			seconds = secondsOf(found[1])
		} else if name, _, _ := strings.Cut(directive, "="); name != "no-store" && name != "no-cache" {
			continue
		}
		if maxAge < 0 || seconds < maxAge {
			maxAge = seconds
		}
	}
	if maxAge < 0 {
		maxAge = defaultMaxAge
	}
	times := cacheTimes{maxAge: min(max(maxAge, minFresh), maxFresh)}
	// Several caches on the way may each have added the header.
	for _, text := range listOf(headers, "Age") {
		times.age = max(times.age, secondsOf(text))
	}
	return times
}

// listOf splits the values of a header that may be sent several times.
func listOf(headers http.Header, name string) []string {
	items := strings.Split(strings.Join(headers.Values(name), ","), ",")
	for index, item := range items {
		items[index] = strings.TrimSpace(item)
	}
	return items
}

// secondsOf reads digits; other text is no time at all. More than a year counts as a year.
func secondsOf(text string) time.Duration {
	const year = 365 * 24 * time.Hour
	if strings.Trim(text, "0123456789") != "" || text == "" {
		return 0
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds > int64(year/time.Second) {
		return year
	}
	return time.Duration(seconds) * time.Second
}

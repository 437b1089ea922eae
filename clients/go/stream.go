package postern

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"postern.example/clients/go/posternpb"
)

const (
	// silenceLimit: heartbeats come every two seconds; after five missing ones the connection counts as dead.
	silenceLimit = 10 * time.Second
	tickInterval = time.Second
	maxRetry     = 2 * time.Second
)

var errSilent = errors.New("nothing was received for 10 s")

// noRenewal is the time at which a token without a known lifetime is renewed.
const noRenewal = math.MaxInt64

// streamCredential authenticates a WatchTrust call.
type streamCredential interface {
	// next returns a token, and the monotonic time in ns at which a stream opened with it is replaced.
	next(ctx context.Context) (token string, renewAtNs int64, err error)
	// forget drops a token that the service refused.
	forget(token string)
}

// trustStream feeds a verifier from WatchTrust and never gives up. A lost stream is reopened from its cursor, first at
// once, then with backoff and jitter. A stream whose token expires soon is replaced: the second one opens before the first
// is cancelled, so that no update is missed.
type trustStream struct {
	client     posternpb.TrustServiceClient
	credential streamCredential
	verifier   *Verifier
	reader     streamReader
	events     chan streamEvent
	// current delivers; next is to replace it. Either may be nil.
	current, next *watch
	pause         retryPause
	openTimer     *time.Timer
}

// watch is one WatchTrust call.
type watch struct {
	cancel context.CancelFunc
	opened bool
}

// streamEvent is what a call reports: its token, an update or its end.
type streamEvent struct {
	from      *watch
	token     string
	renewAtNs int64
	update    *posternpb.TrustUpdate
	err       error
}

func newTrustStream(connection grpc.ClientConnInterface, credential streamCredential, v *Verifier) *trustStream {
	now := v.clock()
	return &trustStream{
		client:     posternpb.NewTrustServiceClient(connection),
		credential: credential,
		verifier:   v,
		reader:     streamReader{trust: v.trust, clockOffsetNs: now.wallNs - now.monotonicNs},
		events:     make(chan streamEvent),
		pause:      retryPause{first: 50 * time.Millisecond, limit: maxRetry},
	}
}

func (s *trustStream) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	s.openTimer = time.NewTimer(0)
	defer s.openTimer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.openTimer.C:
			s.open(ctx)
		case <-ticker.C:
			s.tick()
		case event := <-s.events:
			s.handle(event)
		}
	}
}

// tick opens the stream anew after the wall clock was set back.
func (s *trustStream) tick() {
	if s.reader.tick(s.verifier.clock()) && (s.current != nil || s.next != nil) {
		s.lose(errors.New("the clock of this machine was set back"))
	}
}

func (s *trustStream) open(ctx context.Context) {
	if s.next != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{cancel: cancel}
	s.next = w
	cursor := s.reader.cursor
	go func() {
		defer cancel()
		event := s.watch(ctx, w, cursor)
		s.send(ctx, event)
	}()
}

// send reports an event, unless the call was cancelled: nobody waits for it then.
func (s *trustStream) send(ctx context.Context, event streamEvent) {
	select {
	case s.events <- event:
	case <-ctx.Done():
	}
}

// watch runs one call. The result is the event of its end.
func (s *trustStream) watch(ctx context.Context, w *watch, cursor string) streamEvent {
	call, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	end := streamEvent{from: w}
	if s.credential != nil {
		token, renewAtNs, err := s.credential.next(ctx)
		if err != nil {
			end.err = err
			return end
		}
		end.token = token
		s.send(ctx, streamEvent{from: w, token: token, renewAtNs: renewAtNs})
		call = metadata.AppendToOutgoingContext(call, "authorization", "Bearer "+token)
	}
	silence := time.AfterFunc(silenceLimit, func() { cancel(errSilent) })
	defer silence.Stop()
	stream, err := s.client.WatchTrust(call, &posternpb.WatchTrustRequest{Cursor: cursor})
	for err == nil {
		var update *posternpb.TrustUpdate
		if update, err = stream.Recv(); err == nil {
			silence.Reset(silenceLimit)
			s.send(ctx, streamEvent{from: w, update: update})
		}
	}
	switch {
	case errors.Is(context.Cause(call), errSilent):
		err = errSilent
	case errors.Is(err, io.EOF):
		err = errors.New("the server ended the stream")
	}
	end.err = explain(err)
	return end
}

func (s *trustStream) handle(event streamEvent) {
	w := event.from
	if w != s.current && w != s.next {
		return
	}
	switch {
	case event.err != nil:
		s.ended(w, event)
	case event.update != nil:
		if !w.opened {
			s.onOpened(w)
		}
		if err := s.reader.apply(event.update, s.verifier.clock()); err != nil {
			s.verifier.report(true, fmt.Errorf("the received keys are not usable, the ones before stay: %w", err))
		} else if event.update.GetKeys() != nil {
			s.verifier.report(true, nil)
		}
	case event.renewAtNs != noRenewal:
		s.openTimer.Reset(time.Duration(max(0, event.renewAtNs-s.verifier.clock().monotonicNs)))
	}
}

func (s *trustStream) onOpened(w *watch) {
	w.opened = true
	if s.current != nil {
		s.current.cancel()
	}
	s.current, s.next = w, nil
	s.pause.reset()
	s.verifier.report(true, nil)
}

// ended handles a call that did not open, or ended. While the one that it should replace is still open, that one stays.
func (s *trustStream) ended(w *watch, event streamEvent) {
	// The key of the token may have been revoked, long before the token was due for renewal.
	if s.credential != nil && refusesToken(event.err) {
		s.credential.forget(event.token)
	}
	switch {
	case w == s.next && s.current != nil:
		s.next = nil
		s.openTimer.Reset(maxRetry)
	case w == s.current && s.next != nil:
		s.current = nil
	default:
		s.lose(event.err)
	}
}

func (s *trustStream) lose(err error) {
	for _, w := range []*watch{s.current, s.next} {
		if w != nil {
			w.cancel()
		}
	}
	s.current, s.next = nil, nil
	s.verifier.report(false, err)
	s.openTimer.Reset(s.pause.next())
}

// retryPause grows from nothing over first to limit. Half of each pause is random, so that a thousand clients of one server
// do not come back at once.
type retryPause struct {
	first, limit, current time.Duration
	immediate             bool
}

func (b *retryPause) reset() { b.current, b.immediate = 0, false }

// next returns no pause the first time.
func (b *retryPause) next() time.Duration {
	if !b.immediate {
		b.immediate = true
		return 0
	}
	b.current = min(b.limit, max(b.first, 2*b.current))
	return b.current/2 + rand.N(b.current/2+1)
}

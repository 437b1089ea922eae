package integration

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	postern "postern.example/clients/go"
	"postern.example/clients/go/grpcauth"
	"postern.example/clients/go/internal/trusttest"
)

// revokes is how many revocations are timed: 1,000 for the published figures.
func revokes() int {
	if count, err := strconv.Atoi(os.Getenv("TIMED_REVOKES")); err == nil {
		return count
	}
	return 100
}

// V02. One instance answers the revocation; a verifier reads from it, and another one from the instance beside it.
func TestDelayOfRevocations(t *testing.T) {
	c := startCluster(t)
	second := c.other(t, c.sockets())
	near, far := c.verifier(t, c.first.GRPC), c.verifier(t, second.GRPC)
	delays := map[string][]time.Duration{}
	for range revokes() {
		token := c.first.login(t).GetAccessToken()
		expectAccepted(t, near, token)
		expectAccepted(t, far, token)
		c.first.revoke(t, token)
		answered := time.Now()
		verifiers := map[string]*postern.Verifier{"near": near, "far": far}
		for name, delay := range untilRevoked(t, token, postern.ReasonTokenRevoked, answered, verifiers) {
			delays[name] = append(delays[name], delay)
		}
	}
	judgeDelays(t, delays)
}

// judgeDelays logs the delays of revocations at verifiers near and far.
func judgeDelays(t *testing.T, delays map[string][]time.Duration) {
	t.Helper()
	for name, limit := range map[string]time.Duration{"near": 20 * time.Millisecond, "far": 100 * time.Millisecond} {
		sorted := slices.Sorted(slices.Values(delays[name]))
		p99 := sorted[len(sorted)*99/100]
		t.Logf("%s: %d revocations, median %s, p99 %s, worst %s", name, len(sorted), sorted[len(sorted)/2], p99, sorted[len(sorted)-1])
		// A busy machine may be slow; a lost revocation is no matter of time.
		if p99 > limit && os.Getenv("CI") != "true" && os.Getenv("TIMED_REVOKES") != "" {
			t.Errorf("%s: p99 is %s, above %s", name, p99, limit)
		}
	}
}

// untilRevoked returns how long after the answer each verifier refused the token, or the API key.
func untilRevoked(t *testing.T, token string, reason postern.Reason, answered time.Time, verifiers map[string]*postern.Verifier) map[string]time.Duration {
	t.Helper()
	delays := map[string]time.Duration{}
	for len(delays) < len(verifiers) {
		for name, v := range verifiers {
			if _, known := delays[name]; !known && reasonOf(v, token) == reason {
				delays[name] = time.Since(answered)
			}
		}
		if time.Since(answered) > 10*time.Second {
			t.Fatal("a revocation was missed")
		}
		runtime.Gosched()
	}
	return delays
}

// V03. The instance that a verifier reads from is killed, and the load balancer leads to another one: the cursor is valid there,
// and nothing that was revoked meanwhile is missed.
func TestKilledInstance(t *testing.T) {
	c := startCluster(t)
	second := c.other(t, c.sockets())
	balancer := startRelay(t, "tcp", "127.0.0.1:0", second.GRPC)
	v := c.verifier(t, balancer.Addr().String())
	tokens := []string{}
	for range 20 {
		tokens = append(tokens, c.first.login(t).GetAccessToken())
		expectAccepted(t, v, tokens[len(tokens)-1])
	}
	c.first.revoke(t, tokens[0])
	untilRefused(t, v, tokens[0], postern.ReasonTokenRevoked)
	second.kill()
	delays := make(chan time.Duration, len(tokens))
	for index, token := range tokens[1:] {
		if index == 9 {
			balancer.set(func() { balancer.backend = c.first.GRPC })
		}
		c.first.revoke(t, token)
		answered := time.Now()
		go func() {
			for reasonOf(v, token) != postern.ReasonTokenRevoked && time.Since(answered) < 20*time.Second {
				time.Sleep(time.Millisecond)
			}
			delays <- time.Since(answered)
		}()
	}
	worst := time.Duration(0)
	for range tokens[1:] {
		worst = max(worst, <-delays)
	}
	if worst > 20*time.Second {
		t.Fatal("a revocation was missed")
	}
	t.Logf("all 19 revocations while the verifier was without a stream are known, the slowest %s after its answer", worst)
	if state := v.State(); !state.Connected || state.Revocations < 20 {
		t.Errorf("%+v", state)
	}
	expectAccepted(t, v, c.first.login(t).GetAccessToken())
}

// V03. An instance that is cut off from its database goes on with heartbeats, and says how old its data is.
func TestStaleInstance(t *testing.T) {
	c := startCluster(t)
	sockets, err := os.MkdirTemp("", "postern-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(sockets)
	const socket = ".s.PGSQL.5432"
	network := startRelay(t, "unix", filepath.Join(sockets, socket), filepath.Join(c.sockets(), socket))
	second := c.other(t, sockets)
	v := c.verifier(t, second.GRPC, postern.WithMaxStaleness(4*time.Second))
	token := c.first.login(t).GetAccessToken()
	trusttest.Until(t, "the token is accepted", func() bool { return reasonOf(v, token) == "" })
	network.set(func() { network.cut = true })
	c.first.revoke(t, token)
	deadline := time.Now().Add(30 * time.Second)
	for reasonOf(v, token) == "" {
		if time.Now().After(deadline) {
			t.Fatal("a revoked token is still accepted")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if reason := reasonOf(v, token); reason != postern.ReasonTrustStale {
		t.Errorf("it is refused for %s", reason)
	}
	network.set(func() { network.cut = false })
	network.disconnect()
	for reasonOf(v, token) != postern.ReasonTokenRevoked {
		if time.Now().After(deadline.Add(30 * time.Second)) {
			t.Fatalf("the revocation does not arrive: %+v", v.State())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestRotationAndEmergency(t *testing.T) {
	c := startCluster(t)
	v := c.verifier(t, c.first.GRPC)
	keySet, err := postern.NewJWKSVerifier(t.Context(), postern.JWKS{
		URL: "http://" + c.first.HTTP + "/.well-known/jwks.json", Issuer: issuerOf(t, v, c), Audiences: []string{"postern"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer keySet.Close()
	if err := keySet.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := c.first.login(t).GetAccessToken()
	expectAccepted(t, v, token)
	expectAccepted(t, keySet, token)
	claims, err := v.Verify(token, postern.Require{})
	if err != nil {
		t.Fatal(err)
	}
	c.run(t, nil, "", "key", "rotate")
	expectAccepted(t, v, token)
	c.run(t, nil, "", "key", "revoke", claims.KeyID)
	trusttest.Until(t, "tokens of the revoked key are refused", func() bool {
		reason := reasonOf(v, token)
		return reason == postern.ReasonTokenRevoked || reason == postern.ReasonTokenKeyUnknown
	})
	trusttest.Until(t, "tokens of the next key are accepted", func() bool { return reasonOf(v, c.first.login(t).GetAccessToken()) == "" })
	if !v.State().Connected {
		trusttest.Until(t, "the stream is open again", func() bool { return v.State().Connected })
	}
	next := c.first.login(t).GetAccessToken()
	trusttest.Until(t, "the key set is fetched again for the new key", func() bool { return reasonOf(keySet, next) == "" })
}

func issuerOf(t *testing.T, v *postern.Verifier, c *cluster) string {
	t.Helper()
	claims, err := v.Verify(c.first.login(t).GetAccessToken(), postern.Require{})
	if err != nil {
		t.Fatal(err)
	}
	return claims.Issuer
}

// An instance whose clock is 90 seconds off issues tokens that all accept, and revokes them for all.
func TestClockOff(t *testing.T) {
	c := startCluster(t)
	near := c.verifier(t, c.first.GRPC)
	shift, err := filepath.Abs(filepath.Join(root, "test/support/shifted-clock.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, milliseconds := range []string{"90000", "-90000"} {
		wrong := c.other(t, c.sockets(), "NODE_OPTIONS=--import="+shift, "CLOCK_SHIFT_MS="+milliseconds)
		far := c.verifier(t, wrong.GRPC)
		for _, i := range []*instance{wrong, c.first} {
			token := i.login(t).GetAccessToken()
			for _, v := range []*postern.Verifier{near, far} {
				expectAccepted(t, v, token)
			}
			wrong.revoke(t, token)
			untilRefused(t, near, token, postern.ReasonTokenRevoked)
			untilRefused(t, far, token, postern.ReasonTokenRevoked)
		}
	}
}

// V05. A flood of junk is refused, delays no revocation and takes no memory.
func TestJunk(t *testing.T) {
	c := startCluster(t)
	v := c.verifier(t, c.first.GRPC)
	tokens := c.first.login(t)
	good := tokens.GetAccessToken()
	expectAccepted(t, v, good)
	parts := strings.Split(good, ".")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done := atomic.Bool{}
	go func() {
		defer done.Store(true)
		for number := range 1_000_000 / slowdown {
			text := strconv.Itoa(number)
			junk := [...]string{
				text, "a." + text + ".c", parts[0] + "." + parts[1] + "." + text, parts[0] + "." + text + "." + parts[2],
				"eyJhbGciOiJub25lIn0." + parts[1] + "." + parts[2], good + text, good[:len(good)-1-number%20],
			}[number%7]
			if _, err := v.Verify(junk, postern.Require{}); err == nil {
				t.Errorf("%q was accepted", junk)
				return
			}
		}
	}()
	c.first.revoke(t, good)
	untilRefused(t, v, good, postern.ReasonTokenRevoked)
	for !done.Load() {
		time.Sleep(10 * time.Millisecond)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("junk takes %d bytes", grown)
	}
}

// A guarded grpc-go server refuses a token that was revoked a moment ago.
func TestGuardedServer(t *testing.T) {
	c := startCluster(t)
	v := c.verifier(t, c.first.GRPC)
	server := grpc.NewServer(grpcauth.ServerOptions(v, nil)...)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	client := grpc_health_v1.NewHealthClient(connection)
	call := func(token string) codes.Code {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
		_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return status.Code(err)
	}
	token := c.first.login(t).GetAccessToken()
	if code := call(token); code != codes.OK {
		t.Fatal(code)
	}
	c.first.revoke(t, token)
	trusttest.Until(t, "the revoked token is refused", func() bool { return call(token) == codes.Unauthenticated })

	// A service calls another one with its own token.
	account, err := postern.NewServiceCredential(postern.Upstream{Address: c.first.GRPC}, c.clientID, c.secret, postern.WithPlaintext())
	if err != nil {
		t.Fatal(err)
	}
	defer account.Close()
	if _, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}, grpc.PerRPCCredentials(account)); err != nil {
		t.Error(err)
	}
}

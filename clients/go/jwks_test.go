package postern_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	postern "postern.example/clients/go"
	"postern.example/clients/go/internal/trusttest"
)

// keySetServer answers by a handler and counts the requests.
type keySetServer struct {
	*httptest.Server
	handler  atomic.Pointer[http.HandlerFunc]
	requests atomic.Int64
}

func startKeySetServer(t *testing.T, handler http.HandlerFunc) *keySetServer {
	t.Helper()
	server := &keySetServer{}
	server.handler.Store(&handler)
	server.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server.requests.Add(1)
		(*server.handler.Load())(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

func serveKeys(headers map[string]string, keys ...*trusttest.Key) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		_, _ = w.Write([]byte(trusttest.JWKS(keys...)))
	}
}

func jwksVerifier(t *testing.T, url string, with ...postern.Option) *postern.Verifier {
	t.Helper()
	keys := postern.JWKS{URL: url, Issuer: trusttest.Issuer, Audiences: []string{trusttest.Audience}}
	v, err := postern.NewJWKSVerifier(t.Context(), keys, with...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func TestKeySetAndRotation(t *testing.T) {
	first, second := trusttest.NewKey(t), trusttest.NewKey(t)
	server := startKeySetServer(t, serveKeys(map[string]string{"Cache-Control": "public, max-age=600"}, first))
	v := jwksVerifier(t, server.URL)
	if err := v.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reason := verdict(v, first.Token(t, "a", nil)); reason != "" {
		t.Error(reason)
	}
	both := serveKeys(nil, first, second)
	server.handler.Store(&both)
	token := second.Token(t, "b", nil)
	if reason := verdict(v, token); reason != postern.ReasonTokenKeyUnknown {
		t.Error(reason)
	}
	trusttest.Until(t, "an unknown key makes it fetch the set early", func() bool { return verdict(v, token) == "" })
	for range 1_000 {
		_ = verdict(v, trusttest.NewKey(t).Token(t, "c", nil))
	}
	if requests := server.requests.Load(); requests != 2 {
		t.Errorf("invented keys made %d requests", requests)
	}
}

// A cache in front of the service delivers a key set that is nearly too old: it is fetched again when its max-age is over,
// and a key that is gone then counts no longer.
func TestAgeOfACachedKeySet(t *testing.T) {
	revoked, kept := trusttest.NewKey(t), trusttest.NewKey(t)
	server := startKeySetServer(t, serveKeys(map[string]string{"Cache-Control": "max-age=20", "Age": "19"}, revoked, kept))
	v := jwksVerifier(t, server.URL)
	if err := v.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	one := serveKeys(map[string]string{"Cache-Control": "max-age=20"}, kept)
	server.handler.Store(&one)
	begin := time.Now()
	token := revoked.Token(t, "a", nil)
	trusttest.Until(t, "the revoked key is gone", func() bool { return verdict(v, token) == postern.ReasonTokenKeyUnknown })
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestCacheTimes(t *testing.T) {
	for headers, seconds := range map[[2]string][2]int{
		{"", ""}:                                   {300, 0},
		{"max-age=60", ""}:                         {60, 0},
		{"public, Max-Age=60", "15"}:               {60, 15},
		{`max-age="60", max-age=30`, "5, 70"}:      {30, 70},
		{"max-age=60", "99999999999999999999999"}:  {60, 365 * 86_400},
		{"max-age=60", "-5"}:                       {60, 0},
		{"max-age=60", "junk"}:                     {60, 0},
		{"max-age=0", ""}:                          {1, 0},
		{"no-cache", ""}:                           {1, 0},
		{"max-age=600, no-store", ""}:              {1, 0},
		{"s-maxage=5, stale-max-age=7", ""}:        {300, 0},
		{"max-age=999999999999999999999999", "10"}: {3600, 10},
	} {
		maxAge, age := postern.CacheTimes(http.Header{"Cache-Control": {headers[0]}, "Age": {headers[1]}})
		if found := [2]int{int(maxAge.Seconds()), int(age.Seconds())}; found != seconds {
			t.Errorf("%v: %v in place of %v", headers, found, seconds)
		}
	}
}

// Behind two caches, the older copy does not bring a revoked key back.
func TestOlderCopyOfAKeySet(t *testing.T) {
	revoked, kept := trusttest.NewKey(t), trusttest.NewKey(t)
	newer := serveKeys(map[string]string{"Cache-Control": "max-age=1"}, kept)
	older := serveKeys(map[string]string{"Cache-Control": "max-age=1", "Age": "50"}, revoked, kept)
	server := startKeySetServer(t, newer)
	v := jwksVerifier(t, server.URL)
	if err := v.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.handler.Store(&older)
	before := server.requests.Load()
	trusttest.Until(t, "the copy was fetched", func() bool { return server.requests.Load() >= before+2 })
	if reason := verdict(v, revoked.Token(t, "a", nil)); reason != postern.ReasonTokenKeyUnknown {
		t.Error(reason)
	}
	expectGood := verdict(v, kept.Token(t, "b", nil))
	if expectGood != "" {
		t.Error(expectGood)
	}
}

// A cache that keeps a key set for longer than its max-age: it grows stale.
func TestKeySetThatIsKeptTooLong(t *testing.T) {
	key := trusttest.NewKey(t)
	server := startKeySetServer(t, serveKeys(map[string]string{"Cache-Control": "max-age=60", "Age": "400"}, key))
	v := jwksVerifier(t, server.URL)
	trusttest.Until(t, "it was fetched", func() bool { return v.State().Status == postern.StatusStale })
	if reason := verdict(v, key.Token(t, "a", nil)); reason != postern.ReasonTrustStale {
		t.Error(reason)
	}
}

func TestKeySetThatCannotBeRead(t *testing.T) {
	key := trusttest.NewKey(t)
	elsewhere := startKeySetServer(t, serveKeys(nil, key))
	hang := make(chan struct{})
	defer close(hang)
	cases := map[string]struct {
		handler http.HandlerFunc
		cause   string
	}{
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		}, "redirects are not followed"},
		"an error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, "status 502"},
		"too long": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(trusttest.JWKS(key) + strings.Repeat(" ", 256<<10)))
		}, "longer than 256 KiB"},
		"no JSON": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "is not JSON"},
		"HS256":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }, "POSTERN_ALGORITHM=HS256"},
		"a body that stalls": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(1000))
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-hang
		}, "deadline"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			server := startKeySetServer(t, test.handler)
			v := jwksVerifier(t, server.URL)
			trusttest.Until(t, "the cause is known", func() bool { return v.State().Err != nil })
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if err := v.Ready(ctx); err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(test.cause)) {
				t.Error(err)
			}
			if name == "a body that stalls" {
				hang <- struct{}{}
			}
		})
	}
	if requests := elsewhere.requests.Load(); requests != 0 {
		t.Errorf("the redirect was followed %d times", requests)
	}
}

func TestByteOrderMark(t *testing.T) {
	key := trusttest.NewKey(t)
	server := startKeySetServer(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("\ufeff" + trusttest.JWKS(key)))
	})
	v := jwksVerifier(t, server.URL)
	if err := v.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStaleKeySet(t *testing.T) {
	key := trusttest.NewKey(t)
	server := startKeySetServer(t, serveKeys(map[string]string{"Cache-Control": "max-age=1"}, key))
	v := jwksVerifier(t, server.URL, postern.WithMaxStaleness(time.Second))
	if err := v.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Close()
	token := key.Token(t, "a", nil)
	trusttest.Until(t, "it is too old", func() bool { return verdict(v, token) == postern.ReasonTrustStale })
}

func TestMisuseOfAKeySet(t *testing.T) {
	good := postern.JWKS{URL: "https://auth.example/jwks.json", Issuer: "i", Audiences: []string{"a"}}
	for name, change := range map[string]func(*postern.JWKS){
		"no URL":            func(k *postern.JWKS) { k.URL = "" },
		"another scheme":    func(k *postern.JWKS) { k.URL = "file:///jwks.json" },
		"plaintext":         func(k *postern.JWKS) { k.URL = "http://auth.example/jwks.json" },
		"no issuer":         func(k *postern.JWKS) { k.Issuer = "" },
		"no audience":       func(k *postern.JWKS) { k.Audiences = nil },
		"an empty audience": func(k *postern.JWKS) { k.Audiences = []string{""} },
	} {
		keys := good
		change(&keys)
		if v, err := postern.NewJWKSVerifier(t.Context(), keys); err == nil {
			v.Close()
			t.Errorf("%s was accepted", name)
		}
	}
	if v, err := postern.NewJWKSVerifier(t.Context(), good, postern.WithServiceAccount("a", "b")); err == nil {
		v.Close()
		t.Error("a service account was accepted")
	}
}

package postern_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	postern "postern.example/clients/go"
	"postern.example/clients/go/internal/trusttest"
)

// Q37. Junk costs no call; invented keys cost a bounded number at a time, and each one costs one.
func TestFloodOfAPIKeys(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	v := readyVerifier(t, service)
	known := trusttest.NewAPIKey()
	service.SetAPIKey(known, trusttest.APIKeyGrant())
	if reason := keyVerdict(t.Context(), v, known); reason != "" {
		t.Fatal(reason)
	}
	for index := range len(known) {
		for _, character := range []string{"0", "z", "-", "é", ""} {
			junk := known[:index] + character + known[index+1:]
			if junk != known && keyVerdict(t.Context(), v, junk) == "" {
				t.Errorf("%q was accepted", junk)
			}
		}
	}
	for _, junk := range []string{"pak_", known + "0", known + known, "psk_" + known[4:], "pak_" + strings.Repeat("0", 49)} {
		if keyVerdict(t.Context(), v, junk) == "" {
			t.Errorf("%q was accepted", junk)
		}
	}
	if count := lookups(service); count != 1 {
		t.Fatalf("junk made %d look-ups", count-1)
	}

	release := service.HoldLookups()
	var group sync.WaitGroup
	reasons := make(chan postern.Reason, 3_000)
	for range 3_000 {
		group.Go(func() { reasons <- keyVerdict(t.Context(), v, trusttest.NewAPIKey()) })
	}
	trusttest.Until(t, "those above the limit are refused", func() bool { return len(reasons) >= 2_000 })
	if reason := keyVerdict(t.Context(), v, known); reason != "" {
		t.Errorf("a known key gets %s in the flood", reason)
	}
	release()
	group.Wait()
	close(reasons)
	for reason := range reasons {
		if reason != postern.ReasonTrustStale && reason != postern.ReasonAPIKeyInvalid {
			t.Fatal(reason)
		}
	}
	count, mostOpen := service.Lookups()
	// The service may learn late of look-ups that have timed out.
	if mostOpen > 128 || count > 1_001 {
		t.Errorf("%d look-ups, %d at a time", count, mostOpen)
	}
	t.Logf("3,000 invented keys made %d look-ups, %d at a time", count-1, mostOpen)
}

// Q37.
func TestInventedAPIKeyCostsOneCall(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	v := readyVerifier(t, service)
	invented := trusttest.NewAPIKey()
	for range 100 {
		if reason := keyVerdict(t.Context(), v, invented); reason != postern.ReasonAPIKeyInvalid {
			t.Fatal(reason)
		}
	}
	if count := lookups(service); count != 1 {
		t.Errorf("one invented key made %d look-ups", count)
	}
}

// Q38. A key with networks is only valid from there, and from nowhere while the address of the client is not known.
func TestNetworksOfAnAPIKey(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	v := readyVerifier(t, service)
	for _, test := range []struct {
		networks []string
		address  string
		accepted bool
	}{
		{nil, "", true},
		{nil, "127.0.0.1", true},
		{[]string{"192.0.2.0/24"}, "192.0.2.7", true},
		{[]string{"192.0.2.0/24"}, "::ffff:192.0.2.7", true},
		{[]string{"192.0.2.0/24"}, "192.0.3.7", false},
		{[]string{"192.0.2.0/24"}, "", false},
		{[]string{"192.0.2.0/24", "2001:db8::/32"}, "2001:db8::1%eth0", true},
		{[]string{"2001:db8::/32"}, "2001:db9::1", false},
		{[]string{"::/0"}, "192.0.2.7", true},
		{[]string{"0.0.0.0/0"}, "2001:db8::1", false},
		{[]string{"0.0.0.0/0", "::/0"}, "", false},
		{[]string{"127.0.0.0/8"}, "127.0.0.1", false},
		{[]string{"no network"}, "192.0.2.7", false},
	} {
		key, grant := trusttest.NewAPIKey(), trusttest.APIKeyGrant()
		grant.AllowedNetworks = test.networks
		service.SetAPIKey(key, grant)
		address, _ := netip.ParseAddr(test.address)
		expected := postern.ReasonAPIKeyInvalid
		if test.accepted {
			expected = ""
		}
		if reason := keyVerdict(postern.WithClientAddress(t.Context(), address), v, key); reason != expected {
			t.Errorf("%v from %q: %q", test.networks, test.address, reason)
		}
		// What a proxy has found out counts, not the proxy.
		behind := postern.WithPeerAddress(postern.WithClientAddress(t.Context(), address), "192.0.2.1:4711")
		if reason := keyVerdict(behind, v, key); reason != expected {
			t.Errorf("%v from %q behind a proxy: %q", test.networks, test.address, reason)
		}
		if reason := keyVerdict(t.Context(), v, key); (reason == "") != (test.networks == nil) {
			t.Errorf("%v from an unknown address: %q", test.networks, reason)
		}
	}
}

// Q39. With a key set alone there is nobody to ask.
func TestAPIKeysWithAKeySetAlone(t *testing.T) {
	t.Parallel()
	key := trusttest.NewKey(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(trusttest.JWKS(key)))
	}))
	defer server.Close()
	v, err := postern.NewJWKSVerifier(t.Context(), postern.JWKS{URL: server.URL, Issuer: trusttest.Issuer, Audiences: []string{trusttest.Audience}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = v.VerifyContext(ctx, trusttest.NewAPIKey(), postern.Require{})
	if reasonIn(err) != postern.ReasonAPIKeyInvalid || !strings.Contains(err.Error(), "send an access token") {
		t.Error(err)
	}
}

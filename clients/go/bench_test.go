package postern

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern.example/clients/go/internal/trusttest"
	"postern.example/clients/go/posternpb"
)

// cpuTime is that of the process: on a shared machine, time on the clock says little.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func measure(b *testing.B, operation func(index int)) {
	b.ReportAllocs()
	runtime.GC()
	b.ResetTimer()
	before := cpuTime(b)
	for index := range b.N {
		operation(index)
	}
	b.StopTimer()
	spent := cpuTime(b) - before
	b.ReportMetric(float64(b.N)/spent.Seconds(), "ops/cpu-s")
}

// benchVerifier has the key of the tokens, by the real clock.
func benchVerifier(b *testing.B, key *trusttest.Key, with ...Option) *Verifier {
	settings, err := optionsOf(with)
	if err != nil {
		b.Fatal(err)
	}
	v := newVerifier(settings)
	reader := streamReader{trust: v.trust}
	keys := &posternpb.TrustedKeys{
		Jwks: trusttest.JWKS(key), Issuer: trusttest.Issuer, Audiences: []string{trusttest.Audience}, MaxLifetime: 600, ClockSkew: 5,
	}
	if err := reader.applyKeys(keys); err != nil {
		b.Fatal(err)
	}
	v.trust.confirm(v.clock().monotonicNs)
	return v
}

func tokensOf(b *testing.B, key *trusttest.Key, count int) []string {
	tokens := make([]string, count)
	for index := range tokens {
		tokens[index] = key.Token(b, fmt.Sprintf("01a21f07-8561-768c-9752-%012d", index), nil)
	}
	return tokens
}

// A token that was seen before. Each call brings a text of its own, as a request does.
func BenchmarkSeenBefore(b *testing.B) {
	for _, count := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			key := trusttest.NewKey(b)
			v := benchVerifier(b, key, WithCacheBytes(512<<20))
			tokens := tokensOf(b, key, count)
			texts := make([]string, count)
			for index, token := range tokens {
				if _, err := v.Verify(token, Require{}); err != nil {
					b.Fatal(err)
				}
				texts[index] = strings.Clone(token)
			}
			measure(b, func(index int) {
				// A large odd step visits all tokens in another order than they were added.
				if _, err := v.Verify(texts[index*7_919%count], Require{}); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// An API key that was looked up before.
func BenchmarkAPIKey(b *testing.B) {
	key := trusttest.NewKey(b)
	v := benchVerifier(b, key)
	service := &answers{grant: trusttest.APIKeyGrant()}
	v.apiKeys = newAPIKeyResolver(nil, nil, v)
	v.apiKeys.client = service
	keys := make([]string, 1_000)
	for index := range keys {
		keys[index] = trusttest.NewAPIKey()
		if _, err := v.VerifyContext(b.Context(), keys[index], Require{}); err != nil {
			b.Fatal(err)
		}
	}
	measure(b, func(index int) {
		if _, err := v.Verify(keys[index%len(keys)], Require{}); err != nil {
			b.Fatal(err)
		}
	})
}

// A token that was not seen before, beside the verification of its signature alone.
func BenchmarkFirstSight(b *testing.B) {
	key := trusttest.NewKey(b)
	tokens := tokensOf(b, key, 1_000)
	b.Run("verifier", func(b *testing.B) {
		v := benchVerifier(b, key, WithCacheBytes(0))
		measure(b, func(index int) {
			if _, err := v.Verify(tokens[index%len(tokens)], Require{}); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("ecdsa.Verify", func(b *testing.B) {
		public := key.Public()
		measure(b, func(index int) {
			token := tokens[index%len(tokens)]
			dot := strings.LastIndexByte(token, '.')
			signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
			if err != nil {
				b.Fatal(err)
			}
			digest := sha256.Sum256([]byte(token[:dot]))
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			if !ecdsa.Verify(public, digest[:], r, s) {
				b.Fatal("invalid")
			}
		})
	})
}

// The memory of a million revocations, and verdicts beside them.
func BenchmarkMillionRevocations(b *testing.B) {
	key := trusttest.NewKey(b)
	v := benchVerifier(b, key)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	addRevocations(v, 1_000_000)
	runtime.GC()
	runtime.ReadMemStats(&after)
	tokens := tokensOf(b, key, 1_000)
	measure(b, func(index int) {
		if _, err := v.Verify(tokens[index%len(tokens)], Require{}); err != nil {
			b.Fatal(err)
		}
	})
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
}

// addRevocations adds them in chunks, as the stream does.
func addRevocations(v *Verifier, count int) {
	const chunk = 2_000
	expiry := uint64(time.Now().Unix()) + 605
	for begin := 0; begin < count; begin += chunk {
		revocations := make([]*posternpb.Revocation, chunk)
		for index := range revocations {
			id := make([]byte, 16)
			binary.BigEndian.PutUint64(id, uint64(begin+index)*0x9e3779b97f4a7c15)
			revocations[index] = &posternpb.Revocation{Revoked: &posternpb.Revocation_SessionId{SessionId: id}, ExpiresAt: expiry}
		}
		v.trust.revoke(revocations)
	}
}

func TestMemoryOfAMillionRevocations(t *testing.T) {
	settings, err := optionsOf(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := newVerifier(settings)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	addRevocations(v, 1_000_000)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := after.HeapAlloc - before.HeapAlloc; grown > 60<<20 {
		t.Errorf("a million revocations take %d MiB", grown>>20)
	}
	if size := v.State().Revocations; size != 1_000_000 {
		t.Errorf("%d are known", size)
	}
}

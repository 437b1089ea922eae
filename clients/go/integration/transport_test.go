package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	postern "postern.example/clients/go"
)

// Nothing but the socket lets a verifier in: no service account, no certificate.
func TestUnixSocket(t *testing.T) {
	c := startCluster(t)
	address := "unix:" + filepath.Join(c.dir, "grpc.sock")
	c.other(t, c.sockets(), "POSTERN_GRPC_LISTEN="+address)
	expectRevocations(t, c, postern.Upstream{Address: address})
}

func TestTLS(t *testing.T) {
	c := startCluster(t)
	authority := newAuthority(t)
	server := authority.issue(t, "localhost")
	files := []string{"POSTERN_TLS_CERT=" + write(t, c, "cert.pem", server.cert), "POSTERN_TLS_KEY=" + write(t, c, "key.pem", server.key)}
	second := c.other(t, c.sockets(), files...)
	account := postern.WithServiceAccount(c.clientID, c.secret)
	trusted := &tls.Config{RootCAs: authority.pool(), MinVersion: tls.VersionTLS12}
	expectRevocations(t, c, postern.Upstream{Address: second.GRPC, TLS: trusted}, account)

	other := &tls.Config{RootCAs: newAuthority(t).pool(), MinVersion: tls.VersionTLS12}
	expectCause(t, postern.Upstream{Address: second.GRPC, TLS: other}, "certificate", account)
	expectCause(t, postern.Upstream{Address: second.GRPC}, "Unavailable", account)
}

// A client certificate takes the place of the service account.
func TestClientCertificate(t *testing.T) {
	c := startCluster(t)
	authority := newAuthority(t)
	server := authority.issue(t, "localhost")
	second := c.other(t, c.sockets(),
		"POSTERN_TLS_CERT="+write(t, c, "cert.pem", server.cert), "POSTERN_TLS_KEY="+write(t, c, "key.pem", server.key),
		"POSTERN_TLS_CLIENT_CA="+write(t, c, "ca.pem", authority.cert), "POSTERN_TLS_SERVICE_IDENTITIES=orders.example")
	upstream := func(name string) postern.Upstream {
		certificate, err := tls.X509KeyPair(authority.issue(t, name).pair())
		if err != nil {
			t.Fatal(err)
		}
		config := &tls.Config{RootCAs: authority.pool(), Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		return postern.Upstream{Address: second.GRPC, TLS: config}
	}
	expectRevocations(t, c, upstream("orders.example"))
	expectCause(t, upstream("billing.example"), "POSTERN_TLS_SERVICE_IDENTITIES")
}

// expectRevocations makes a verifier of an upstream: it accepts a token of the first instance, until that is revoked.
func expectRevocations(t *testing.T, c *cluster, upstream postern.Upstream, with ...postern.Option) {
	t.Helper()
	v := newVerifier(t, upstream, with...)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	token := c.first.login(t).GetAccessToken()
	expectAccepted(t, v, token)
	c.first.revoke(t, token)
	untilRefused(t, v, token, postern.ReasonTokenRevoked)
}

func expectCause(t *testing.T, upstream postern.Upstream, cause string, with ...postern.Option) {
	t.Helper()
	v := newVerifier(t, upstream, with...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := v.Ready(ctx); err == nil || !strings.Contains(err.Error(), cause) {
		t.Errorf("%v, without %q", err, cause)
	} else {
		t.Log(err)
	}
}

func newVerifier(t *testing.T, upstream postern.Upstream, with ...postern.Option) *postern.Verifier {
	t.Helper()
	v, err := postern.NewVerifier(t.Context(), upstream, with...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func write(t *testing.T, c *cluster, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// issued is a certificate and its key, PEM.
type issued struct{ cert, key []byte }

func (i issued) pair() (cert, key []byte) { return i.cert, i.key }

type authority struct {
	issued
	certificate *x509.Certificate
	private     *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := &authority{certificate: template}
	a.issued, a.private = a.sign(t, template)
	return a
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.cert)
	return pool
}

func (a *authority) issue(t *testing.T, name string) issued {
	t.Helper()
	certificate, _ := a.sign(t, &x509.Certificate{DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	return certificate
}

// sign issues a certificate of a new key; the first one signs itself.
func (a *authority) sign(t *testing.T, template *x509.Certificate) (issued, *ecdsa.PrivateKey) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := a.private
	if signer == nil {
		signer = private
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, private.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return issued{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}, private
}

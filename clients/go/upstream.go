package postern

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// Upstream is the address of a Postern service, and how to connect to it.
type Upstream struct {
	// Address is a gRPC target: host:port, dns:///name:port or unix:PATH. All addresses of a name are used.
	Address string
	// TLS is nil for plaintext, which is for loopback and unix sockets. An empty config trusts the authorities of the
	// system; Certificates or GetClientCertificate authenticate the verifier by a client certificate.
	TLS *tls.Config
	// Insecure allows plaintext to another machine, for a proxy in between that encrypts.
	Insecure bool
}

// dial makes the connection, which opens with the first call. A lost one is found within 25 seconds and reopened with a
// short backoff.
func (u Upstream) dial(extra ...grpc.DialOption) (*grpc.ClientConn, error) {
	if err := u.validate(); err != nil {
		return nil, err
	}
	transport := insecure.NewCredentials()
	if u.TLS != nil {
		transport = credentials.NewTLS(u.TLS.Clone())
	}
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
		grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond},
			MinConnectTimeout: 5 * time.Second,
		}),
	}, extra...)
	connection, err := grpc.NewClient(u.Address, options...)
	if err != nil {
		return nil, fmt.Errorf("postern: %w", err)
	}
	return connection, nil
}

// validate refuses what would expose tokens, and what grpc-go would complete by a guess: without a port it uses 443.
func (u Upstream) validate() error {
	if u.Address == "" {
		return errors.New("postern: the address of the upstream is missing; set host:port")
	}
	socket, isUnix := strings.CutPrefix(u.Address, "unix:")
	if !isUnix {
		socket, isUnix = strings.CutPrefix(u.Address, "unix-abstract:")
	}
	host := ""
	if isUnix && socket == "" {
		return fmt.Errorf("postern: the address %q of the upstream has no path; set unix:PATH", u.Address)
	}
	if !isUnix {
		rest := strings.TrimPrefix(u.Address, "dns:")
		rest = strings.TrimPrefix(rest, "passthrough:")
		if after, ok := strings.CutPrefix(rest, "//"); ok {
			_, rest, _ = strings.Cut(after, "/")
		}
		var port string
		var err error
		if host, port, err = net.SplitHostPort(rest); err != nil || host == "" || port == "" {
			return fmt.Errorf("postern: the address %q of the upstream is not host:port, dns:///name:port or unix:PATH", u.Address)
		}
	}
	if u.TLS == nil && !u.Insecure && !isUnix && !isLoopbackHost(host) {
		return fmt.Errorf("postern: the connection to %s would leave this machine in plaintext; set TLS, or Insecure if a proxy in between encrypts it", u.Address)
	}
	return nil
}

// explain adds what to do to an error of grpc-go that does not say it. For a name that does not resolve, round_robin reports
// no more than that it has no children.
func explain(err error) error {
	message := status.Convert(err).Message()
	switch {
	case strings.Contains(message, "no children to pick from"):
		return fmt.Errorf("the name of the upstream has no address: check its spelling: %w", err)
	case strings.Contains(message, "error reading server preface"):
		return fmt.Errorf("the upstream is no gRPC listener without TLS: check the port, and set TLS if Postern has it: %w", err)
	default:
		return err
	}
}

// isLoopbackHost counts, of names, localhost alone: the result must not depend on a resolver.
func isLoopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return ip == nil && strings.EqualFold(host, "localhost") || ip.IsLoopback()
}

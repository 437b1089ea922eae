// Package postern verifies Postern's access tokens inside a Go process.
//
// A [Verifier] keeps the signing keys and all revocations in memory. It reads them from the WatchTrust stream of the
// service, so a token is refused within milliseconds of its revocation, and no call waits for the network. When the
// stream has been lost for too long, tokens are refused ([ReasonTrustStale]): revocations may be missing. An API key is
// looked up at the service once, and kept until the stream revokes it.
//
// The packages below this one guard servers: grpcauth for grpc-go, httpauth for net/http, and connectauth for
// connect-go, a module of its own. posternpb has the messages and clients of the service.
package postern

//go:generate npx buf generate

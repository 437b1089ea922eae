package postern

import (
	"context"
	"net/netip"

	"google.golang.org/grpc/peer"
)

type (
	clientAddressKey struct{}
	peerAddressKey   struct{}
)

// WithClientAddress returns a context with the address of the client that sends a credential, for API keys that are only
// valid in some networks. Call it before a guard where that is not the peer of the connection: behind a proxy, with the
// address that the proxy has determined. The zero [netip.Addr] is an unknown address, which such keys are refused from.
func WithClientAddress(ctx context.Context, address netip.Addr) context.Context {
	return context.WithValue(ctx, clientAddressKey{}, address)
}

// WithPeerAddress returns a context with the peer of a connection, as IP:port. It counts where [WithClientAddress] has said
// nothing. Guards of other transports than grpc-go call it: there the verifier finds the peer itself.
func WithPeerAddress(ctx context.Context, address string) context.Context {
	return context.WithValue(ctx, peerAddressKey{}, address)
}

// clientAddressOf returns the zero address if that of the client is not known.
func clientAddressOf(ctx context.Context) netip.Addr {
	if address, ok := ctx.Value(clientAddressKey{}).(netip.Addr); ok {
		return identifyingAddress(address)
	}
	if address, ok := ctx.Value(peerAddressKey{}).(string); ok {
		return addressOfPeer(address)
	}
	if connected, ok := peer.FromContext(ctx); ok && connected.Addr != nil {
		return addressOfPeer(connected.Addr.String())
	}
	return netip.Addr{}
}

func addressOfPeer(text string) netip.Addr {
	address, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.Addr{}
	}
	return identifyingAddress(address.Addr())
}

// identifyingAddress is the zero address for loopback, as at the service: a proxy on this machine may forward the calls of
// many. An IPv4 address inside IPv6 counts as IPv4.
func identifyingAddress(address netip.Addr) netip.Addr {
	if address = address.Unmap().WithZone(""); address.IsLoopback() {
		return netip.Addr{}
	}
	return address
}

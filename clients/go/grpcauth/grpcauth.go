// Package grpcauth guards a grpc-go server by Postern's access tokens.
package grpcauth

import (
	"context"
	"maps"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	postern "postern.example/clients/go"
)

// Rules and Rule are those of the main package.
type (
	Rules = postern.Rules
	Rule  = postern.Rule
)

// Public is the rule of a method that anyone may call.
var Public = Rule{Public: true}

// ServerOptions returns the interceptors for unary calls and for streams. They refuse as Postern does: Unauthenticated,
// PermissionDenied or Unavailable with an ErrorInfo of the domain postern. Handlers find the caller by
// [postern.CallerFrom]. Chain other interceptors with grpc.ChainUnaryInterceptor and grpc.ChainStreamInterceptor after
// these.
//
// It panics for invalid rules, such as one for a method that the proto of its service does not have. A misspelt service may
// be one without protos: call [MustMatch] when all services are registered.
func ServerOptions(v *postern.Verifier, rules Rules) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(UnaryInterceptor(v, rules)),
		grpc.ChainStreamInterceptor(StreamInterceptor(v, rules)),
	}
}

// PolicyOptions are ServerOptions for a policy file. Where rules has one for the method, both must allow a call; rules may be
// nil. A file that is reloaded is used from the next call on.
func PolicyOptions(v *postern.Verifier, file *postern.PolicyFile, rules Rules) []grpc.ServerOption {
	mustBeValid(rules, nil)
	rules = maps.Clone(rules)
	guard := func(ctx context.Context, method string) (context.Context, error) {
		return file.Policy().Authorize(ctx, v, rules, method, metadata.ValueFromIncomingContext(ctx, "authorization"))
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(unary(guard)), grpc.ChainStreamInterceptor(stream(guard))}
}

// MustMatch panics when a rule is for a method that the server does not have.
func MustMatch(server interface {
	GetServiceInfo() map[string]grpc.ServiceInfo
}, rules Rules) {
	served := map[string]bool{}
	for service, info := range server.GetServiceInfo() {
		for _, method := range info.Methods {
			served["/"+service+"/"+method.Name] = true
		}
	}
	mustBeValid(rules, func(method string) bool { return served[method] })
}

// UnaryInterceptor guards unary calls. It panics for invalid rules.
func UnaryInterceptor(v *postern.Verifier, rules Rules) grpc.UnaryServerInterceptor {
	return unary(guardBy(v, rules))
}

// guard returns the context for the handler, or why the call is refused.
type guard func(ctx context.Context, method string) (context.Context, error)

func unary(authorize guard) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		ctx, err := authorize(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		return handler(ctx, request)
	}
}

// StreamInterceptor guards streams, at their beginning. It panics for invalid rules.
func StreamInterceptor(v *postern.Verifier, rules Rules) grpc.StreamServerInterceptor {
	return stream(guardBy(v, rules))
}

func stream(authorize guard) grpc.StreamServerInterceptor {
	return func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx, err := authorize(stream.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		return handler(service, &callerStream{stream, ctx})
	}
}

func guardBy(v *postern.Verifier, rules Rules) guard {
	mustBeValid(rules, nil)
	rules = maps.Clone(rules)
	return func(ctx context.Context, method string) (context.Context, error) {
		return rules.Authorize(ctx, v, method, metadata.ValueFromIncomingContext(ctx, "authorization"))
	}
}

func mustBeValid(rules Rules, served func(string) bool) {
	if err := rules.Validate(served); err != nil {
		panic(err)
	}
}

// callerStream is a stream whose context has the caller.
type callerStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *callerStream) Context() context.Context { return s.ctx }

// Package connectauth guards a connect-go server by Postern's access tokens. It is a module of its own, so that others do
// not depend on connect-go.
package connectauth

import (
	"context"
	"errors"
	"maps"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	postern "postern.example/clients/go"
)

// Rules and Rule are those of the main package. Methods are named as for gRPC: /package.Service/Method.
type (
	Rules = postern.Rules
	Rule  = postern.Rule
)

// Public is the rule of a method that anyone may call.
var Public = Rule{Public: true}

// NewInterceptor guards unary calls and, at their beginning, streams of the Connect, gRPC and gRPC-Web protocols. It
// refuses as Postern does, with an ErrorInfo of the domain postern, and over Connect with the header WWW-Authenticate. Handlers find the caller by [postern.CallerFrom]. It
// panics for invalid rules, such as one for a method that the proto of its service does not have.
func NewInterceptor(v *postern.Verifier, rules Rules) connect.Interceptor {
	if err := rules.Validate(nil); err != nil {
		panic(err)
	}
	return &interceptor{v, maps.Clone(rules)}
}

type interceptor struct {
	verifier *postern.Verifier
	rules    Rules
}

func (i *interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if request.Spec().IsClient {
			return next(ctx, request)
		}
		ctx = postern.WithPeerAddress(ctx, request.Peer().Addr)
		ctx, err := i.rules.Authorize(ctx, i.verifier, request.Spec().Procedure, request.Header().Values("Authorization"))
		if err != nil {
			return nil, errorOf(err)
		}
		return next(ctx, request)
	}
}

func (i *interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, stream connect.StreamingHandlerConn) error {
		ctx = postern.WithPeerAddress(ctx, stream.Peer().Addr)
		ctx, err := i.rules.Authorize(ctx, i.verifier, stream.Spec().Procedure, stream.RequestHeader().Values("Authorization"))
		if err != nil {
			return errorOf(err)
		}
		return next(ctx, stream)
	}
}

// WrapStreamingClient does nothing: this interceptor is for servers.
func (i *interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func errorOf(err error) error {
	var refusal *postern.Refusal
	if !errors.As(err, &refusal) {
		return connect.NewError(connect.CodeInternal, errors.New("internal error"))
	}
	// The codes of Connect are those of gRPC.
	answer := connect.NewError(connect.Code(refusal.Code()), errors.New(refusal.Detail))
	if challenge := refusal.Challenge(); challenge != "" {
		answer.Meta().Set("WWW-Authenticate", challenge)
	}
	for _, detail := range refusal.Details() {
		message, ok := detail.(proto.Message)
		if !ok {
			continue
		}
		if encoded, err := connect.NewErrorDetail(message); err == nil {
			answer.AddDetail(encoded)
		}
	}
	return answer
}

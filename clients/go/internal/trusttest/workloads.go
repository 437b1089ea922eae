package trusttest

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"postern.example/clients/go/posternpb"
)

// BindWorkload makes ExchangeToken accept this token of another issuer, and no other any more.
func (s *Service) BindWorkload(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.workload = token
}

// Exchanges are all requests of ExchangeToken.
func (s *Service) Exchanges() []*posternpb.ExchangeTokenRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*posternpb.ExchangeTokenRequest{}, s.exchanges...)
}

// ExchangeToken implements the exchange.
func (s *Service) ExchangeToken(_ context.Context, request *posternpb.ExchangeTokenRequest) (*posternpb.TokenSet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exchanges = append(s.exchanges, proto.CloneOf(request))
	if request.GetSubjectToken() != s.workload {
		return nil, status.Error(codes.Unauthenticated, "the token has expired")
	}
	s.issued++
	return &posternpb.TokenSet{AccessToken: fmt.Sprintf("token-%d", s.issued), ExpiresIn: s.lifetime}, nil
}

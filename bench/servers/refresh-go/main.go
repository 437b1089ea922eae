// A hand-written RefreshToken without an audit trail: it judges the MAC, updates the session in one UPDATE ... RETURNING, signs
// an ES256 token and makes the next refresh token.
// refresh-go DATABASE_URL POOL_SIZE MAC_KEY_HEX
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

const lifetime = 10 * time.Minute

const rotate = `UPDATE sessions SET generation = generation + 1, rotated_at = clock_timestamp()
	WHERE id = $1 AND generation = $2 AND ended_at IS NULL AND expires_at > now() RETURNING user_id::text, audience`

type service struct {
	pool   *pgxpool.Pool
	macKey []byte
	key    *ecdsa.PrivateKey
}

func (s *service) refresh(ctx context.Context, request []byte) ([]byte, error) {
	id, generation, ok := s.parse(refreshTokenOf(request))
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "the refresh token is invalid")
	}
	var userID, audience string
	if err := s.pool.QueryRow(ctx, rotate, id, generation).Scan(&userID, &audience); err != nil {
		return nil, status.Error(codes.Unauthenticated, "the refresh token is invalid")
	}
	now := time.Now()
	sessionID := fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	tokenID := make([]byte, 16)
	rand.Read(tokenID)
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "bench", "sub": userID, "aud": audience, "sid": sessionID, "roles": []string{},
		"iat": now.Unix(), "exp": now.Add(lifetime).Unix(), "jti": base64.RawURLEncoding.EncodeToString(tokenID),
	})
	token.Header["kid"] = "bench"
	access, err := token.SignedString(s.key)
	if err != nil {
		return nil, status.Error(codes.Internal, "the token could not be signed")
	}
	var response []byte
	text := func(number protowire.Number, value string) {
		response = protowire.AppendString(protowire.AppendTag(response, number, protowire.BytesType), value)
	}
	text(1, access)
	text(2, "bearer")
	response = protowire.AppendVarint(protowire.AppendTag(response, 3, protowire.VarintType), uint64(lifetime.Seconds()))
	text(4, s.make(id, generation+1))
	text(6, sessionID)
	text(7, userID)
	return response, nil
}

func refreshTokenOf(request []byte) string {
	for len(request) > 0 {
		number, kind, size := protowire.ConsumeTag(request)
		if size < 0 {
			return ""
		}
		request = request[size:]
		if number == 1 && kind == protowire.BytesType {
			value, size := protowire.ConsumeString(request)
			if size < 0 {
				return ""
			}
			return value
		}
		size = protowire.ConsumeFieldValue(number, kind, request)
		if size < 0 {
			return ""
		}
		request = request[size:]
	}
	return ""
}

func (s *service) mac(head []byte) []byte {
	mac := hmac.New(sha256.New, s.macKey)
	mac.Write(head)
	return mac.Sum(nil)
}

func (s *service) make(id [16]byte, generation uint32) string {
	head := binary.BigEndian.AppendUint32(id[:], generation)
	return base64.RawURLEncoding.EncodeToString(append(head, s.mac(head)...))
}

func (s *service) parse(text string) (id [16]byte, generation uint32, ok bool) {
	bytes, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(bytes) != 52 || !hmac.Equal(s.mac(bytes[:20]), bytes[20:]) {
		return id, 0, false
	}
	copy(id[:], bytes)
	return id, binary.BigEndian.Uint32(bytes[16:20]), true
}

// rawCodec passes messages as bytes, so that no generated code is needed.
type rawCodec struct{}

func (rawCodec) Name() string                      { return "proto" }
func (rawCodec) Marshal(value any) ([]byte, error) { return *value.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, to any) error {
	*to.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func (s *service) handle(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var request []byte
	if err := decode(&request); err != nil {
		return nil, err
	}
	response, err := s.refresh(ctx, request)
	return &response, err
}

func main() {
	config, err := pgxpool.ParseConfig(os.Args[1])
	check(err)
	size, err := strconv.Atoi(os.Args[2])
	check(err)
	config.MaxConns = int32(size)
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	check(err)
	macKey, err := hex.DecodeString(os.Args[3])
	check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	own := &service{pool: pool, macKey: macKey, key: key}
	server := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "postern.v1.AuthService",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "RefreshToken", Handler: own.handle}},
	}, own)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		server.Stop()
	}()
	fmt.Printf("{\"event\":\"listening\",\"grpc\":%q,\"pid\":%d}\n", listener.Addr(), os.Getpid())
	check(server.Serve(listener))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

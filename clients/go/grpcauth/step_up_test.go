package grpcauth_test

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	postern "postern.example/clients/go"
	"postern.example/clients/go/grpcauth"
	"postern.example/clients/go/internal/trusttest"
)

// M51, by a rule and by a policy file, for unary calls and streams.
func TestStepUp(t *testing.T) {
	v, postern1 := verifier(t)
	session := func(acr string, age time.Duration) string {
		return "Bearer " + postern1.Key.Token(t, "mine", map[string]any{"acr": acr, "auth_time": time.Now().Add(-age).Unix()})
	}
	account := "Bearer " + postern1.Key.Token(t, "mine", nil)
	key := "Bearer " + trusttest.NewAPIKey()
	postern1.SetAPIKey(key[7:], trusttest.APIKeyGrant())
	rule := grpcauth.Rule{MinACR: postern.AAL2, MaxAuthAge: 5 * time.Minute}
	path := filepath.Join(t.TempDir(), "policy.json")
	text := `{"version": 1, "otherwise": {"min_acr": "aal2", "max_auth_age": 300}, "methods": {}}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := postern.OpenPolicyFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	byRule, ofRule := serve(t, v, grpcauth.Rules{check: rule, watch: rule})
	byPolicy, ofPolicy := serveWith(t, grpcauth.PolicyOptions(v, file, nil))
	for _, test := range []struct {
		name, token string
		isStrong    bool
	}{
		{"a second factor just now", session("aal2", 0), true},
		{"a second factor a while ago", session("aal2", 10*time.Minute), false},
		{"a password", session("aal1", 0), false},
		{"a level that nobody knows", session("aal3", 0), false},
		{"a token that does not say it", account, false},
		{"an API key", key, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, reason := codes.OK, ""
			if !test.isStrong {
				code, reason = codes.Unauthenticated, "STEP_UP_REQUIRED"
			}
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", test.token)
			for client, service := range map[grpc_health_v1.HealthClient]*whoami{byRule: ofRule, byPolicy: ofPolicy} {
				_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
				expect(t, service, err, code, reason, true)
				expectRequired(t, err, test.isStrong)
				stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
				if err == nil {
					_, err = stream.Recv()
				}
				expect(t, service, err, code, reason, true)
				expectRequired(t, err, test.isStrong)
			}
		})
	}
}

// expectRequired looks for what a client needs to know before it calls StepUp.
func expectRequired(t *testing.T, err error, isStrong bool) {
	t.Helper()
	if isStrong {
		return
	}
	var info *errdetails.ErrorInfo
	if details := status.Convert(err).Details(); len(details) > 0 {
		info, _ = details[0].(*errdetails.ErrorInfo)
	}
	if !maps.Equal(info.GetMetadata(), map[string]string{"acr_values": "aal2", "max_age": "300"}) {
		t.Errorf("%v", info)
	}
}

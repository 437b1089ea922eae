package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	postern "postern.example/clients/go"
	"postern.example/clients/go/internal/trusttest"
)

// W36. A pod with the projected token of its cluster and no secret of Postern: it verifies, and calls others.
func TestWorkloadWithoutASecret(t *testing.T) {
	c := startCluster(t)
	const issuer, audience, subject = "https://kubernetes.example", "postern-exchange", "system:serviceaccount:shop:orders"
	cluster := trusttest.NewKey(t)
	keySet, tokenFile := filepath.Join(t.TempDir(), "jwks.json"), filepath.Join(t.TempDir(), "token")
	project := func(changes map[string]any) string {
		claims := map[string]any{"iss": issuer, "aud": []string{audience}, "sub": subject}
		for name, value := range changes {
			claims[name] = value
		}
		token := cluster.Token(t, "", claims)
		for path, content := range map[string]string{keySet: trusttest.JWKS(cluster), tokenFile: token + "\n"} {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return token
	}
	outside := project(nil)
	c.run(t, nil, "", "issuer", "add", issuer, "--kind", "kubernetes", "--jwks", keySet, "--audience", audience)
	var binding struct{ ID string }
	c.run(t, &binding, "", "service", "bind", "orders", "--issuer", issuer, "--claim", "sub="+subject, "--json")

	workload := postern.Workload{TokenFile: tokenFile}
	v, err := postern.NewVerifier(t.Context(), postern.Upstream{Address: c.first.GRPC}, postern.WithWorkload(workload))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	trusttest.Until(t, "the verifier is ready", func() bool {
		return v.State().Status == postern.StatusReady
	})
	expectAccepted(t, v, c.first.login(t).GetAccessToken())
	key, _ := c.createKey(t, "nightly", "--email", email)
	if reason := keyReason(t, v, key, ""); reason != "" {
		t.Errorf("an API key gets %q", reason)
	}

	credential, err := postern.NewWorkloadCredential(postern.Upstream{Address: c.first.GRPC}, workload)
	if err != nil {
		t.Fatal(err)
	}
	defer credential.Close()
	token, err := credential.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	claims, err := v.Verify(token, postern.Require{})
	if err != nil || claims.Subject != c.clientID || claims.SubjectType != postern.SubjectService || claims.SubjectName != "orders" {
		t.Errorf("%+v, %v", claims, err)
	}

	// An outside token that is no longer good has a cause, and the file is read again.
	past := time.Now().Unix() - 7_200
	old := project(map[string]any{"iat": past, "exp": past + 600})
	other, err := postern.NewWorkloadCredential(postern.Upstream{Address: c.first.GRPC}, workload)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "expired") || strings.Contains(err.Error(), old) {
		t.Errorf("an expired token: %v", err)
	}
	project(nil)
	if _, err := other.Token(t.Context()); err != nil {
		t.Error(err)
	}
	// Without the binding its tokens end, and with them the stream of the workload itself.
	witness := c.verifier(t, c.first.GRPC)
	expectAccepted(t, witness, token)
	c.run(t, nil, "", "service", "unbind", binding.ID)
	untilRefused(t, witness, token, postern.ReasonTokenRevoked)
	trusttest.Until(t, "the stream of the workload has ended", func() bool { return !v.State().Connected && v.State().Err != nil })
	unbound, err := postern.NewWorkloadCredential(postern.Upstream{Address: c.first.GRPC}, workload)
	if err != nil {
		t.Fatal(err)
	}
	defer unbound.Close()
	if _, err := unbound.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "the service account got no token") || strings.Contains(err.Error(), outside) {
		t.Errorf("without a binding: %v", err)
	}
}

package postern_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	postern "postern.example/clients/go"
	"postern.example/clients/go/internal/trusttest"
)

// mount writes a token as kubelet does: into a new folder that a link is moved to.
func mount(t *testing.T, dir, token string) (path string) {
	t.Helper()
	version, err := os.MkdirTemp(dir, "..version")
	if err != nil {
		t.Fatal(err)
	}
	next, data, path := filepath.Join(dir, "..next"), filepath.Join(dir, "..data"), filepath.Join(dir, "token")
	for _, err := range []error{
		os.WriteFile(filepath.Join(version, "token"), []byte(token), 0o600),
		os.Symlink(version, next),
		os.Rename(next, data),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join("..data", "token"), path); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	return path
}

// W34. The file is read at each renewal, since kubelet replaces it.
func TestWorkloadCredential(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	service.SetLifetime(2)
	service.BindWorkload("first.outside.token")
	dir := t.TempDir()
	path := mount(t, dir, "first.outside.token\n")
	workload := postern.Workload{TokenFile: path, ServiceAccount: "orders", Roles: []string{"reader"}}
	credential, err := postern.NewWorkloadCredential(postern.Upstream{Address: service.Address}, workload, postern.WithAudience("billing"))
	if err != nil {
		t.Fatal(err)
	}
	defer credential.Close()
	if token, err := credential.Token(t.Context()); token != "token-1" || err != nil {
		t.Fatal(token, err)
	}
	request := service.Exchanges()[0]
	if request.GetSubjectToken() != "first.outside.token" || request.GetServiceAccount() != "orders" || request.GetAudience() != "billing" ||
		!slices.Equal(request.GetRoles(), []string{"reader"}) || request.GetActorToken() != "" || request.Lifetime != nil {
		t.Errorf("%+v", request)
	}
	mount(t, dir, "second.outside.token")
	service.BindWorkload("second.outside.token")
	trusttest.Until(t, "the token is renewed by the new file", func() bool {
		token, err := credential.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return token != "token-1"
	})
}

// W35. A file without a token says so, in words that have no part of it, and works as soon as it has one.
func TestTokenFilesThatAreNone(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	service.BindWorkload("good.outside.token")
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const secret = "canary"
	for path, cause := range map[string]string{
		filepath.Join(dir, "missing"): "no such file or directory",
		dir:                           "is not a regular file",
		pipe:                          "is not a regular file",
		write("empty", ""):            "is empty",
		write("blank", " \r\n"):       "is empty",
		write("huge", strings.Repeat(secret, 10_000)):            "has more than 16384 bytes",
		write("late", strings.Repeat(" ", 16_384)+secret+".x.y"): "has more than 16384 bytes",
		write("two", secret+".a.b\n"+secret+".c.d\n"):            "something else than one token",
		write("binary", secret+"\x00\xff"):                       "something else than one token",
		write("expired", secret+".x.y"):                          "the token has expired",
	} {
		credential, err := postern.NewWorkloadCredential(postern.Upstream{Address: service.Address}, postern.Workload{TokenFile: path})
		if err != nil {
			t.Fatal(err)
		}
		token, err := credential.Token(t.Context())
		if token != "" || err == nil || !strings.Contains(err.Error(), cause) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %q, %v", path, token, err)
		}
		if cause != "is not a regular file" {
			write(filepath.Base(path), "good.outside.token")
			if token, err := credential.Token(t.Context()); err != nil || token == "" {
				t.Errorf("%s: %q, %v", path, token, err)
			}
		}
		_ = credential.Close()
	}
	for _, workload := range []postern.Workload{{}, {TokenFile: "a", Roles: []string{""}}} {
		if _, err := postern.NewWorkloadCredential(postern.Upstream{Address: service.Address}, workload); err == nil {
			t.Errorf("%+v was accepted", workload)
		}
		if _, err := postern.NewVerifier(t.Context(), postern.Upstream{Address: service.Address}, postern.WithWorkload(workload)); err == nil {
			t.Errorf("%+v was accepted", workload)
		}
	}
}

// W36. The stream and the look-ups of a verifier need no secret.
func TestVerifierOfAWorkload(t *testing.T) {
	t.Parallel()
	service := trusttest.Start(t)
	service.BindWorkload("an.outside.token")
	key := trusttest.NewAPIKey()
	service.SetAPIKey(key, trusttest.APIKeyGrant())
	v := readyVerifier(t, service, postern.WithWorkload(postern.Workload{TokenFile: mount(t, t.TempDir(), "an.outside.token")}))
	if reason := keyVerdict(t.Context(), v, key); reason != "" {
		t.Error(reason)
	}
	_, bearers, _ := service.Seen()
	if bearers = append(bearers, service.LookupBearers()...); !slices.Equal(bearers, []string{"Bearer token-1", "Bearer token-1"}) {
		t.Errorf("%q", bearers)
	}
	service.BindWorkload("another.outside.token")
	waiting := newVerifier(t, service, postern.WithWorkload(postern.Workload{TokenFile: mount(t, t.TempDir(), "an.outside.token")}))
	trusttest.Until(t, "the cause is known", func() bool {
		err := waiting.State().Err
		return err != nil && status.Code(err) == codes.Unauthenticated && strings.Contains(err.Error(), "the service account got no token")
	})
}

package integration

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern.example/clients/go/internal/trusttest"
)

// The program of the README, as a stranger would run it, but for its two addresses.
func TestProgramOfTheReadme(t *testing.T) {
	c := startCluster(t)
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```go\n(package main\n.*?)^```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("the README has no program")
	}
	listen := freeAddress(t)
	program := strings.NewReplacer("127.0.0.1:50051", c.first.GRPC, "127.0.0.1:8090", listen).Replace(string(block[1]))
	if !strings.Contains(program, c.first.GRPC) || !strings.Contains(program, listen) {
		t.Fatal("the addresses of the program have changed")
	}
	command := exec.Command(build(t, program))
	command.Env = append(os.Environ(), "POSTERN_CLIENT_ID="+c.clientID, "POSTERN_CLIENT_SECRET="+c.secret)
	log := &strings.Builder{}
	command.Stderr = log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Log(log)
		}
	}()
	token := c.first.login(t).GetAccessToken()
	me := func() (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listen+"/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, ""
		}
		defer response.Body.Close()
		var body struct{ Error string }
		_ = json.NewDecoder(response.Body).Decode(&body)
		return response.StatusCode, body.Error
	}
	trusttest.Until(t, "the token is accepted", func() bool { code, _ := me(); return code == http.StatusOK })
	c.first.revoke(t, token)
	trusttest.Until(t, "the revoked token is refused", func() bool {
		code, reason := me()
		return code == http.StatusUnauthorized && reason == "TOKEN_REVOKED"
	})
}

// build compiles a program as if it were a folder of this module, which saves a module of its own.
func build(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	source, overlay, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "program")
	place, err := filepath.Abs("../programofthereadme")
	if err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(place, "main.go"): source}})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string][]byte{source: []byte(program), overlay: replace} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if output, err := exec.Command("go", "build", "-overlay", overlay, "-o", binary, place).CombinedOutput(); err != nil {
		t.Fatalf("the program does not build: %v\n%s", err, output)
	}
	return binary
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

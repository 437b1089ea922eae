package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	postern "postern.example/clients/go"
	"postern.example/clients/go/internal/trusttest"
	"postern.example/clients/go/posternpb"
)

const (
	email    = "ann@example.com"
	password = "correct horse battery staple"
	root     = "../../.."
)

// instance is one process of the service.
type instance struct {
	GRPC, HTTP string
	auth       posternpb.AuthServiceClient
	process    *os.Process
	exited     chan struct{}
}

// cluster is a database, a service account, a user, and the instances that a test starts.
type cluster struct {
	dir              string
	clientID, secret string
	first            *instance
}

// startCluster starts the first instance, with the embedded database.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, "dist/command/postern.js")); err != nil {
		unavailable(t, "there is no build of the service: run npm ci && npm run build")
	}
	if _, err := exec.LookPath("node"); err != nil {
		unavailable(t, "there is no Node")
	}
	// The path of a unix socket is at most 107 bytes long, which t.TempDir may exceed.
	dir, err := os.MkdirTemp("", "postern-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &cluster{dir: dir}
	c.first = c.start(t, nil)
	var account struct {
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	}
	c.run(t, &account, "", "service", "create", "orders", "--json")
	c.clientID, c.secret = account.ClientID, account.ClientSecret
	c.run(t, nil, password, "user", "create", "--email", email, "--password-stdin", "--role", "editor")
	return c
}

func unavailable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// command is one of the CLI. Passwords are hashed at no cost: the tests log in a thousand times.
func (c *cluster) command(environment []string, arguments ...string) *exec.Cmd {
	hook := filepath.Join(root, "bench/with-quick-argon2.mjs")
	absolute, err := filepath.Abs(hook)
	if err != nil {
		panic(err)
	}
	command := exec.Command("node", append([]string{"--import", absolute, filepath.Join(root, "dist/command/postern.js")}, arguments...)...)
	// Settings of the developer's shell are not for this service.
	inherited := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "POSTERN_") || strings.HasPrefix(variable, "DATABASE_URL")
	})
	command.Env = append(inherited, "POSTERN_DATA_DIR="+c.dir, "POSTERN_GRPC_LISTEN=127.0.0.1:0", "POSTERN_HTTP_LISTEN=127.0.0.1:0")
	command.Env = append(command.Env, environment...)
	return command
}

// run runs a command beside the first instance and decodes its output.
func (c *cluster) run(t *testing.T, into any, input string, arguments ...string) {
	t.Helper()
	command := c.command(nil, arguments...)
	command.Stdin = strings.NewReader(input)
	output, err := command.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Log(string(exit.Stderr))
		}
		t.Fatalf("%v: %v", arguments, err)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(output, into); err != nil {
		t.Fatalf("%s: %v", output, err)
	}
}

// other starts an instance beside the first one, on its database, which it reaches at the socket in a folder.
func (c *cluster) other(t *testing.T, sockets string, environment ...string) *instance {
	t.Helper()
	return c.start(t, append([]string{
		"DATABASE_URL=postgres://postern@/postern?host=" + sockets,
		"POSTERN_MASTER_KEY_FILE=" + filepath.Join(c.dir, "master.key"),
	}, environment...))
}

func (c *cluster) sockets() string { return filepath.Join(c.dir, "run") }

func (c *cluster) start(t *testing.T, environment []string) *instance {
	t.Helper()
	command := c.command(environment, "serve")
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log := &strings.Builder{}
	command.Stderr = log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	i := &instance{process: command.Process, exited: make(chan struct{})}
	line, _ := bufio.NewReader(output).ReadString('\n')
	go func() {
		_ = command.Wait()
		close(i.exited)
	}()
	t.Cleanup(func() {
		_ = i.process.Signal(syscall.SIGTERM)
		<-i.exited
	})
	if err := json.Unmarshal([]byte(line), i); err != nil {
		_ = i.process.Kill()
		<-i.exited
		t.Fatalf("the service did not start: %q\n%s", line, log)
	}
	connection, err := grpc.NewClient(i.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	i.auth = posternpb.NewAuthServiceClient(connection)
	return i
}

// kill ends the process as a crash does.
func (i *instance) kill() {
	_ = i.process.Kill()
	<-i.exited
}

func (i *instance) login(t testing.TB) *posternpb.TokenSet {
	t.Helper()
	tokens, err := i.auth.Login(t.Context(), &posternpb.LoginRequest{Email: email, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func (i *instance) revoke(t testing.TB, token string) {
	t.Helper()
	if _, err := i.auth.RevokeToken(t.Context(), &posternpb.RevokeTokenRequest{Token: token}); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) verifier(t *testing.T, address string, with ...postern.Option) *postern.Verifier {
	t.Helper()
	with = append(with, postern.WithServiceAccount(c.clientID, c.secret))
	v, err := postern.NewVerifier(t.Context(), postern.Upstream{Address: address}, with...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return v
}

func reasonOf(v *postern.Verifier, token string) postern.Reason {
	_, err := v.Verify(token, postern.Require{})
	return reasonIn(err)
}

func reasonIn(err error) postern.Reason {
	var refused *postern.Refusal
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return ""
}

func expectAccepted(t *testing.T, v *postern.Verifier, token string) {
	t.Helper()
	if reason := reasonOf(v, token); reason != "" {
		t.Errorf("a good token is refused: %s", reason)
	}
}

func untilRefused(t *testing.T, v *postern.Verifier, token string, reason postern.Reason) {
	t.Helper()
	trusttest.Until(t, "the token is refused: "+string(reason), func() bool { return reasonOf(v, token) == reason })
}

// relay is a load balancer, or the network to a database. It forwards connections to a backend that may change, and holds
// back what comes while it is cut.
type relay struct {
	net.Listener
	mu      sync.Mutex
	network string
	backend string
	cut     bool
	changed *sync.Cond
	open    map[net.Conn]bool
}

func startRelay(t *testing.T, network, address, backend string) *relay {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: listener, network: network, backend: backend, open: map[net.Conn]bool{}}
	r.changed = sync.NewCond(&r.mu)
	t.Cleanup(func() {
		_ = listener.Close()
		r.set(func() { r.cut = false })
		r.disconnect()
	})
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go r.forward(connection)
		}
	}()
	return r
}

func (r *relay) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	r.changed.Broadcast()
}

// disconnect ends all connections.
func (r *relay) disconnect() {
	r.set(func() {
		for connection := range r.open {
			_ = connection.Close()
		}
	})
}

func (r *relay) forward(client net.Conn) {
	r.mu.Lock()
	backend := r.backend
	r.mu.Unlock()
	server, err := net.Dial(r.network, backend)
	if err != nil {
		_ = client.Close()
		return
	}
	r.set(func() { r.open[client], r.open[server] = true, true })
	go r.copy(server, client)
	r.copy(client, server)
}

func (r *relay) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		count, err := from.Read(buffer)
		r.mu.Lock()
		for r.cut {
			r.changed.Wait()
		}
		r.mu.Unlock()
		if _, writeErr := to.Write(buffer[:count]); err != nil || writeErr != nil {
			return
		}
	}
}

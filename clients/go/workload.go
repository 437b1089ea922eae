package postern

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"postern.example/clients/go/posternpb"
)

// maxOutsideTokenBytes is the most that ExchangeToken takes.
const maxOutsideTokenBytes = 16_384

// Workload is a program that has no secret of Postern. Where it runs it has a token of another issuer that Postern trusts,
// such as the projected token of a Kubernetes pod, and gets the access tokens of the service account that is bound to it.
type Workload struct {
	// TokenFile has the token, and nothing else. It is read at each renewal, since it is replaced before it expires.
	TokenFile string
	// ServiceAccount is the id or the name of the account; needed only where several are bound to the workload.
	ServiceAccount string
	// Roles are the only ones that the access tokens have; without them, all of the account.
	Roles []string
}

// NewWorkloadCredential makes the credential of the service account that is bound to a workload, with its own connection to
// Postern. The tokens of [Workload.TokenFile] are exchanged for access tokens.
func NewWorkloadCredential(upstream Upstream, workload Workload, with ...CredentialOption) (*ServiceCredential, error) {
	return connectCredential(upstream, &workload, with)
}

func (w *Workload) validate() error {
	if w.TokenFile == "" {
		return errors.New("postern: the workload needs the path of its token file")
	}
	if slices.Contains(w.Roles, "") {
		return errors.New("postern: a role of the workload is empty")
	}
	return nil
}

func (w *Workload) issuer(client posternpb.AuthServiceClient) func(context.Context, string) (*posternpb.TokenSet, error) {
	roles := slices.Clone(w.Roles)
	path, account := w.TokenFile, w.ServiceAccount
	return func(ctx context.Context, audience string) (*posternpb.TokenSet, error) {
		token, err := readTokenFile(path)
		if err != nil {
			return nil, err
		}
		request := &posternpb.ExchangeTokenRequest{SubjectToken: token, ServiceAccount: account, Audience: audience, Roles: roles}
		return client.ExchangeToken(ctx, request)
	}
}

// readTokenFile returns the token of a file. No error has a part of it.
func readTokenFile(path string) (string, error) {
	// With a line end.
	const maxFileBytes = maxOutsideTokenBytes + 2
	content, err := readRegularFile(path, maxFileBytes)
	if errors.Is(err, errNotRegular) {
		return "", fmt.Errorf("the token file %s is not a regular file", path)
	}
	if err != nil {
		return "", fmt.Errorf("the token file cannot be read: %w", err)
	}
	token := bytes.TrimSpace(content)
	switch {
	case len(content) > maxFileBytes || len(token) > maxOutsideTokenBytes:
		return "", fmt.Errorf("the token file %s has more than %d bytes: it is not a token", path, maxOutsideTokenBytes)
	case len(token) == 0:
		return "", fmt.Errorf("the token file %s is empty", path)
	case !isToken68(string(token)):
		return "", fmt.Errorf("the token file %s has something else than one token", path)
	}
	return string(token), nil
}

var errNotRegular = errors.New("it is not a regular file")

// readRegularFile reads at most one byte more than maxBytes. A file that is read again and again must stop neither its reader nor
// the program: opening a pipe would wait for its writer, and a device has no end.
func readRegularFile(path string, maxBytes int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxBytes+1))
}

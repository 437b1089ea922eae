// Package integration tests the verifier against the real service, which `npm ci && npm run build` of the repository made.
// Without Node or that build, the tests are skipped; under CI=true they fail then.
package integration

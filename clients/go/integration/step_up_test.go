package integration

import (
	"slices"
	"testing"
	"time"

	postern "postern.example/clients/go"
)

// M51. What the service writes into a token is what a verifier reads, and what it does not write satisfies nothing.
func TestLevelsOfTheService(t *testing.T) {
	c := startCluster(t)
	v := c.verifier(t, c.first.GRPC)
	before := time.Now().Truncate(time.Second)
	login := c.first.login(t).GetAccessToken()
	claims, err := v.Verify(login, postern.Require{MinACR: postern.AAL1, MaxAuthAge: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if claims.ACR != postern.AAL1 || !slices.Equal(claims.AMR, []string{"pwd"}) || claims.AuthenticatedAt.Before(before) || claims.AuthenticatedAt.After(time.Now()) {
		t.Errorf("%+v", claims)
	}
	credential, err := postern.NewServiceCredential(postern.Upstream{Address: c.first.GRPC}, c.clientID, c.secret)
	if err != nil {
		t.Fatal(err)
	}
	defer credential.Close()
	account, err := credential.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		token   string
		require postern.Require
	}{
		{login, postern.Require{MinACR: postern.AAL2}},
		{account, postern.Require{MinACR: postern.AAL1}},
		{account, postern.Require{MaxAuthAge: 5 * time.Minute}},
		{c.first.ownKey(t, login, 1), postern.Require{MinACR: postern.AAL1}},
	} {
		if _, err := v.VerifyContext(t.Context(), test.token, test.require); reasonIn(err) != postern.ReasonStepUpRequired {
			t.Errorf("%+v: %v", test.require, err)
		}
	}
}

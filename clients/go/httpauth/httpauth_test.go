package httpauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	postern "postern.example/clients/go"
	"postern.example/clients/go/httpauth"
	"postern.example/clients/go/internal/trusttest"
)

func answer(t *testing.T, handler http.Handler, authorization ...string) (*http.Response, string) {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header["Authorization"] = authorization
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body struct{ Error, Message string }
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return response, body.Error
}

// M51.
func TestRequire(t *testing.T) {
	service := trusttest.Start(t)
	v, err := postern.NewVerifier(t.Context(), postern.Upstream{Address: service.Address})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	called := 0
	whoami := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called++
		caller, ok := postern.CallerFrom(r.Context())
		if !ok || caller.SessionID != "mine" {
			t.Errorf("the caller is %+v", caller)
		}
		_, _ = w.Write([]byte(`{}`))
	})
	good := "Bearer " + service.Key.Token(t, "mine", nil)
	strong := "Bearer " + service.Key.Token(t, "mine", map[string]any{"acr": "aal2", "amr": []string{"pwd", "otp"}, "auth_time": time.Now().Unix() - 100})
	expired := "Bearer " + service.Key.Token(t, "mine", map[string]any{"iat": time.Now().Unix() - 100, "exp": time.Now().Unix() - 50})
	editor, admin := postern.Require{Roles: []string{"editor"}}, postern.Require{Roles: []string{"admin"}}
	for name, test := range map[string]struct {
		require   postern.Require
		values    []string
		code      int
		reason    string
		challenge string
	}{
		"strong":     {postern.Require{MinACR: "aal2", MaxAuthAge: 5 * time.Minute}, []string{strong}, 200, "", ""},
		"weak":       {postern.Require{MinACR: "aal2", MaxAuthAge: 5 * time.Minute}, []string{good}, 401, "STEP_UP_REQUIRED", `Bearer error="insufficient_user_authentication", acr_values="aal2", max_age="300"`},
		"old":        {postern.Require{MaxAuthAge: time.Minute}, []string{strong}, 401, "STEP_UP_REQUIRED", `Bearer error="insufficient_user_authentication", max_age="60"`},
		"good":       {editor, []string{good}, 200, "", ""},
		"none":       {editor, nil, 401, "CREDENTIALS_MISSING", "Bearer"},
		"two":        {editor, []string{good, good}, 401, "TOKEN_MALFORMED", `Bearer error="invalid_token", error_description="the call has more than one authorization header; send one"`},
		"expired":    {editor, []string{expired}, 401, "TOKEN_EXPIRED", `Bearer error="invalid_token", error_description="the token has expired"`},
		"no actor":   {postern.Require{Actors: []string{"support"}}, []string{good}, 403, "ACTOR_NOT_ALLOWED", `Bearer error="insufficient_scope"`},
		"no admin":   {admin, []string{good}, 403, "ROLE_MISSING", `Bearer error="insufficient_scope"`},
		"wrong form": {editor, []string{"Bearer  x"}, 401, "TOKEN_MALFORMED", `Bearer error="invalid_token", error_description="the authorization header must be 'Bearer', one space and one token"`},
	} {
		called = 0
		response, reason := answer(t, httpauth.Require(v, test.require)(whoami), test.values...)
		if response.StatusCode != test.code || reason != test.reason || response.Header.Get("WWW-Authenticate") != test.challenge {
			t.Errorf("%s: %d %s %q", name, response.StatusCode, reason, response.Header.Get("WWW-Authenticate"))
		}
		if (called == 1) != (test.code == 200) {
			t.Errorf("%s: the handler was called %d times", name, called)
		}
		if test.code != 200 && response.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: a cache may keep the answer", name)
		}
	}
}

// Q38. An API key is accepted like a token. Of a proxy on this machine the address of the client has to be set.
func TestAPIKeys(t *testing.T) {
	service := trusttest.Start(t)
	v, err := postern.NewVerifier(t.Context(), postern.Upstream{Address: service.Address})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	everywhere, inside, grant := trusttest.NewAPIKey(), trusttest.NewAPIKey(), trusttest.APIKeyGrant()
	service.SetAPIKey(everywhere, grant)
	grant.AllowedNetworks = []string{"192.0.2.0/24"}
	service.SetAPIKey(inside, grant)
	guarded := httpauth.Require(v, postern.Require{Roles: []string{"editor"}})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if caller, ok := postern.CallerFrom(r.Context()); !ok || caller.CredentialKind != postern.CredentialAPIKey {
			t.Errorf("the caller is %+v", caller)
		}
		_, _ = w.Write([]byte(`{}`))
	}))
	from := func(peer string, key string) (int, string) {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.RemoteAddr = peer
		request.Header.Set("Authorization", "Bearer "+key)
		recorder := httptest.NewRecorder()
		guarded.ServeHTTP(recorder, request)
		return recorder.Code, recorder.Header().Get("WWW-Authenticate")
	}
	for _, test := range []struct {
		peer, key string
		code      int
	}{
		{"127.0.0.1:4711", everywhere, 200},
		{"127.0.0.1:4711", inside, 401},
		{"192.0.2.7:4711", inside, 200},
		{"[::ffff:192.0.2.7]:4711", inside, 200},
		{"192.0.3.7:4711", inside, 401},
		{"@", inside, 401},
	} {
		code, challenge := from(test.peer, test.key)
		if code != test.code || code == 401 && !strings.HasPrefix(challenge, `Bearer error="invalid_token"`) {
			t.Errorf("%s: %d %q", test.peer, code, challenge)
		}
	}
}

func TestUnreadyAndUnknownErrors(t *testing.T) {
	v, err := postern.NewVerifier(t.Context(), postern.Upstream{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	response, reason := answer(t, httpauth.Require(v, postern.Require{})(http.NotFoundHandler()), "Bearer a.b.c")
	if response.StatusCode != 503 || reason != "TRUST_STALE" || response.Header.Get("Retry-After") != "1" {
		t.Errorf("%d %s %q", response.StatusCode, reason, response.Header.Get("Retry-After"))
	}
	recorder := httptest.NewRecorder()
	httpauth.WriteRefusal(recorder, errors.New("secret"))
	if body := recorder.Body.String(); recorder.Code != 500 || body != "{\"error\":\"INTERNAL\",\"message\":\"internal error\"}\n" {
		t.Errorf("%d %s", recorder.Code, body)
	}
	recorder = httptest.NewRecorder()
	_, missing := postern.BearerToken(nil)
	httpauth.WriteRefusal(recorder, missing)
	if body := recorder.Body.String(); !strings.Contains(body, "'authorization: Bearer <token>'") {
		t.Errorf("the message is not for people: %s", body)
	}
	defer func() {
		if recover() == nil {
			t.Error("an empty role was accepted")
		}
	}()
	httpauth.Require(v, postern.Require{Roles: []string{""}})
}

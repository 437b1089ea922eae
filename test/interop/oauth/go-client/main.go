// Fetches tokens with golang.org/x/oauth2/clientcredentials. Reads one JSON request from standard input:
//
//	{"token_url": "...", "client_id": "...", "client_secret": "...", "in_header": true, "audience": "..."}
//
// and prints {"access_token": "...", "token_type": "..."} or {"error": "...", "status": 401}.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/url"
	"os"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	var request struct {
		TokenURL     string `json:"token_url"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		InHeader     bool   `json:"in_header"`
		Audience     string `json:"audience"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&request); err != nil {
		log.Fatal(err)
	}
	style := oauth2.AuthStyleInParams
	if request.InHeader {
		style = oauth2.AuthStyleInHeader
	}
	config := clientcredentials.Config{
		ClientID:       request.ClientID,
		ClientSecret:   request.ClientSecret,
		TokenURL:       request.TokenURL,
		AuthStyle:      style,
		EndpointParams: url.Values{"audience": {request.Audience}},
	}
	token, err := config.Token(context.Background())
	var refused *oauth2.RetrieveError
	var answer map[string]any
	if errors.As(err, &refused) {
		answer = map[string]any{"error": refused.ErrorCode, "status": refused.Response.StatusCode}
	} else if err != nil {
		log.Fatal(err)
	} else {
		answer = map[string]any{"access_token": token.AccessToken, "token_type": token.Type()}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		log.Fatal(err)
	}
}

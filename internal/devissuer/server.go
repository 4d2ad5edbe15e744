package devissuer

import (
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/devtoken"
	"github.com/stella-ops/exportcenter/signing/dpop"
	"github.com/stella-ops/exportcenter/storage"
)

// Lifetime of a token. Removing a client takes as long to count.
const Lifetime = 5 * time.Minute

// maxForm bounds the body of a request for a token.
const maxForm = 16 << 10

// Config is what the endpoint needs.
type Config struct {
	Tokens *devtoken.Issuer
	// Clients and JWKS are paths. Both are read anew for each request: this serves one
	// machine.
	Clients, JWKS string
	Proofs        storage.Proofs
	Clock         clock.Clock
	Log           *slog.Logger
}

// New makes the endpoint.
func New(cfg Config) http.Handler {
	e := &endpoint{cfg}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /oauth/token", e.token)
	mux.HandleFunc("GET /oauth/jwks.json", e.keys)
	return mux
}

type endpoint struct{ Config }

// refusal is an error of the token endpoint (RFC 6749 section 5.2).
type refusal struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
	nonce       string
}

func refuse(status int, code, description string) *refusal {
	return &refusal{status: status, Code: code, Description: description}
}

func (e *endpoint) token(w http.ResponseWriter, r *http.Request) {
	client, answer, refused := e.issue(r)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	outcome, status, body := "issued", http.StatusOK, any(answer)
	if refused != nil {
		outcome, status, body = refused.Code, refused.status, refused
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="exportcenter"`)
		}
		if refused.nonce != "" {
			w.Header().Set("DPoP-Nonce", refused.nonce)
		}
	}
	e.Log.Info("token", "client", client, "outcome", outcome)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck // the client went away
}

// answer is a token (RFC 6749 section 5.1).
type answer struct {
	Token   string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"` // seconds
	Scope   string `json:"scope"`
}

// issue gives the client's id, once that is known to be the client's.
func (e *endpoint) issue(r *http.Request) (id string, a answer, refused *refusal) {
	form, refused := readForm(r)
	if refused != nil {
		return "", a, refused
	}
	client, refused := e.client(r)
	if refused != nil {
		return "", a, refused
	}
	if form.Get("grant_type") != "client_credentials" {
		return client.ID, a, refuse(http.StatusBadRequest, "unsupported_grant_type", "grant_type must be client_credentials")
	}
	claims := devtoken.Claims{Subject: "client:" + client.ID, Tenant: client.Tenant, Project: client.Project, Lifetime: Lifetime}
	roles := client.Roles
	claims.Scopes = client.Scopes
	if wanted := strings.Fields(form.Get("scope")); len(wanted) > 0 {
		held := export.EffectiveScopes(client.Tenant, client.Scopes, client.Roles)
		for _, scope := range wanted {
			if !slices.Contains(held, scope) {
				return client.ID, a, refuse(http.StatusBadRequest, "invalid_scope", "the client has not all of the scopes it asks for")
			}
		}
		claims.Scopes, roles = wanted, nil
	}
	for _, role := range roles {
		claims.Roles = append(claims.Roles, string(role))
	}
	if claims.Thumbprint, refused = e.key(r); refused != nil {
		return client.ID, a, refused
	}
	token, err := e.Tokens.Issue(claims, e.Clock())
	if err != nil {
		e.Log.Error("token cannot be signed", "error", err.Error())
		return client.ID, a, refuse(http.StatusInternalServerError, "server_error", "see the server's log")
	}
	scope := strings.Join(export.EffectiveScopes(client.Tenant, claims.Scopes, roles), " ")
	return client.ID, answer{Token: token, Type: "DPoP", Expires: int(Lifetime / time.Second), Scope: scope}, nil
}

// readForm takes the parameters from the body alone, each once (RFC 6749 section 3.2).
func readForm(r *http.Request) (url.Values, *refusal) {
	bad := func(text string) (url.Values, *refusal) {
		return nil, refuse(http.StatusBadRequest, "invalid_request", text)
	}
	if r.URL.RawQuery != "" {
		return bad("parameters belong into the body")
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return bad("want application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return bad("the form is malformed or larger than 16 KiB")
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			return bad("a parameter is there twice")
		}
	}
	return r.PostForm, nil
}

// client takes id and secret from the Authorization header (RFC 6749 section 2.3.1).
func (e *endpoint) client(r *http.Request) (Client, *refusal) {
	clients, err := Clients(e.Clients)
	if err != nil {
		e.Log.Error("registered clients cannot be read", "error", err.Error())
		return Client{}, refuse(http.StatusInternalServerError, "server_error", "see the server's log")
	}
	id, secret, there := r.BasicAuth()
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	client, known := knows(clients, id, secret)
	if !there || len(r.Header.Values("Authorization")) != 1 || errors.Join(errID, errSecret) != nil || !known {
		return Client{}, refuse(http.StatusUnauthorized, "invalid_client", "client id or secret is wrong; send them as HTTP Basic")
	}
	return client, nil
}

// key gives the thumbprint of the key that the client has shown to hold.
func (e *endpoint) key(r *http.Request) (string, *refusal) {
	var targets []string
	if called := "http://" + r.Host; dpop.OnLoopback(called) {
		if target, err := dpop.Target(called + r.URL.EscapedPath()); err == nil {
			targets = append(targets, target)
		}
	}
	proof, err := dpop.Check(r.Header.Values("DPoP"), dpop.Request{Method: r.Method, Targets: targets, Now: e.Clock()})
	var failed *dpop.Refusal
	if errors.As(err, &failed) {
		return "", refuse(http.StatusBadRequest, "invalid_dpop_proof", string(failed.Reason))
	}
	err = e.Proofs.Use(r.Context(), storage.Proof{ID: proof.ID, Nonce: proof.Nonce}, e.Clock())
	var wanted *storage.NonceError
	switch {
	case err == nil:
		return proof.Thumbprint, nil
	case errors.Is(err, storage.ErrProofUsed):
		return "", refuse(http.StatusBadRequest, "invalid_dpop_proof", string(dpop.ReasonReplayed))
	case errors.As(err, &wanted):
		refused := refuse(http.StatusBadRequest, "use_dpop_nonce", string(dpop.ReasonNonce))
		refused.nonce = wanted.Nonce
		return "", refused
	}
	e.Log.Error("memory of used proofs", "error", err.Error())
	return "", refuse(http.StatusServiceUnavailable, "temporarily_unavailable", "try again with a new proof")
}

func (e *endpoint) keys(w http.ResponseWriter, _ *http.Request) {
	raw, err := os.ReadFile(e.JWKS)
	if err != nil {
		e.Log.Error("public keys cannot be read", "error", err.Error())
		http.Error(w, "the keys cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Write(raw) //nolint:errcheck // the client went away
}

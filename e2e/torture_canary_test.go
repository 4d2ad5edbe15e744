//go:build torture

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	temporal "go.temporal.io/sdk/client"
)

// canaries are texts that must be in no log and no history, by what they are.
func (w *torture) canaries() map[string][]byte {
	found := map[string][]byte{"evidence of a tenant": []byte(canaryEvidence)}
	for name, text := range w.passwords() {
		found["password of "+name] = []byte(text)
	}
	for tenant, token := range w.tokens {
		_, signature, _ := bytes.Cut([]byte(token), []byte("."))
		found["token of "+tenant] = signature
	}
	password := bytes.TrimSpace(w.read("keys", "password"))
	found["password of the signing key"] = password
	block, _ := pem.Decode(w.read("keys", "signing.key"))
	require.NotNil(w.t, block)
	der, err := encrypted.Decrypt(block.Bytes, password)
	require.NoError(w.t, err)
	key, err := x509.ParsePKCS8PrivateKey(der)
	require.NoError(w.t, err)
	secret, err := key.(*ecdsa.PrivateKey).Bytes()
	require.NoError(w.t, err)
	for form, text := range written(secret) {
		found["signing key, "+form] = text
	}

	var issuer struct{ D string }
	require.NoError(w.t, json.Unmarshal(w.read("keys", "issuer.jwk"), &issuer))
	secret, err = base64.RawURLEncoding.DecodeString(issuer.D)
	require.NoError(w.t, err)
	for form, text := range written(secret) {
		found["token key, "+form] = text
	}
	for name, text := range found {
		require.GreaterOrEqual(w.t, len(text), 16, "%s would be found by chance", name)
	}
	return found
}

// written gives the forms in which a key may slip out.
func written(secret []byte) map[string][]byte {
	return map[string][]byte{
		"raw":       secret,
		"hex":       []byte(hex.EncodeToString(secret)),
		"base64":    []byte(base64.RawStdEncoding.EncodeToString(secret)),
		"base64url": []byte(base64.RawURLEncoding.EncodeToString(secret)),
	}
}

func (w *torture) passwords() map[string]string {
	var state struct{ Passwords map[string]string }
	require.NoError(w.t, json.Unmarshal(w.read("state.json"), &state))
	require.NotEmpty(w.t, state.Passwords)
	return state.Passwords
}

func (w *torture) read(path ...string) []byte {
	raw, err := os.ReadFile(filepath.Join(append([]string{w.house.dir}, path...)...))
	require.NoError(w.t, err)
	return raw
}

// countCanaries looks for canaries in all logs and all histories, and counts
// workflows that are still open: at rest there are none.
func (w *torture) countCanaries() {
	canaries := w.canaries()
	logs, err := filepath.Glob(filepath.Join(w.house.dir, "logs", "*"))
	require.NoError(w.t, err)
	for _, path := range append(logs, w.house.dir+".log") {
		raw, err := os.ReadFile(path)
		require.NoError(w.t, err)
		w.search(canaries, filepath.Base(path), raw)
	}
	c, err := w.house.dialTemporal(w.t.Context())
	require.NoError(w.t, err)
	defer c.Close()
	w.awaitClosed(c)
	histories := 0
	var page []byte
	for {
		listed, err := c.ListWorkflow(w.t.Context(), &workflowservice.ListWorkflowExecutionsRequest{PageSize: 500, NextPageToken: page})
		require.NoError(w.t, err)
		for _, each := range listed.Executions {
			histories++
			w.search(canaries, "history of "+each.Execution.WorkflowId, w.history(c, each.Execution.WorkflowId, each.Execution.RunId))
		}
		if page = listed.NextPageToken; len(page) == 0 {
			break
		}
	}
	if histories < len(w.journal) {
		w.t.Errorf("only %d histories for %d runs: not all were searched", histories, len(w.journal))
	}
	w.t.Logf("%d canaries, %d logs and %d histories searched", len(canaries), len(logs)+1, histories)
}

func (w *torture) search(canaries map[string][]byte, where string, in []byte) {
	for name, text := range canaries {
		if bytes.Contains(in, text) {
			w.found(&w.count.Leaked, "%s is in %s", name, where)
		}
	}
}

// history is a workflow's history as Temporal keeps it: payloads are not
// encoded once more.
func (w *torture) history(c temporal.Client, workflowID, runID string) []byte {
	var all []byte
	events := c.GetWorkflowHistory(w.t.Context(), workflowID, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(w.t, err)
		raw, err := event.Marshal()
		require.NoError(w.t, err)
		all = append(all, raw...)
	}
	require.NotEmpty(w.t, all)
	return all
}

// awaitClosed gives workflows the minute to end behind their runs.
func (w *torture) awaitClosed(c temporal.Client) {
	for deadline := time.Now().Add(restWithin); ; time.Sleep(200 * time.Millisecond) {
		open, err := c.CountWorkflow(w.t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: `ExecutionStatus = 'Running'`})
		require.NoError(w.t, err)
		if open.Count == 0 {
			return
		}
		if w.planted || time.Now().After(deadline) {
			for range open.Count {
				w.found(&w.count.Stuck, "a workflow is open though its run has ended")
			}
			return
		}
	}
}

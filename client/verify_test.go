package client_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
)

type says string

func (s says) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(s)))}, nil
}

// TestVerifyRunTakesNoContradiction: a report whose status is not what the rest of it says
// is an error; above all one that calls an encrypted bundle verified that was not opened.
func TestVerifyRunTakesNoContradiction(t *testing.T) {
	const (
		failure = `,"failure":{"class":"content","reason":"entry_digest","message":"m"}`
		closed  = `,"encryption":{"mode":"age","recipients":[],"opened":false,"plainDigest":"d"}`
		opened  = `,"encryption":{"mode":"age","recipients":[],"opened":true,"plainDigest":"d"}`
	)
	for _, c := range []struct {
		status, rest string
		ok           bool
	}{
		{"verified", "", true}, {"unopened", closed, true}, {"failed", failure, true}, {"failed", failure + closed, true}, {"verified", opened, true},
		{"verified", closed, false}, {"unopened", "", false}, {"unopened", opened, false}, {"failed", "", false},
		{"verified", failure, false}, {"unopened", failure + closed, false}, {"same-content", "", false}, {"", "", false},
	} {
		api, err := client.New("http://127.0.0.1:1", "token", client.HTTP(&http.Client{Transport: says(
			`{"status":"` + c.status + `","records":0,"files":0,"checks":[],"signatures":[]` + c.rest + `}`)}))
		require.NoError(t, err)
		_, err = api.VerifyRun(context.Background(), someRun, false)
		require.Equal(t, c.ok, err == nil, "%s %s: %v", c.status, c.rest, err)
	}
}

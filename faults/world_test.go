package faults

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/adapters/mirrordelta"
	"github.com/stella-ops/exportcenter/adapters/mirrorfull"
	"github.com/stella-ops/exportcenter/adapters/trivydb"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/osv"
	"github.com/stella-ops/exportcenter/ledger/sample"
	"github.com/stella-ops/exportcenter/policy"
	"github.com/stella-ops/exportcenter/sealed"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

func TestMain(m *testing.M) {
	// Workers share a cache of workflows by process. Here a process is many, and
	// a task for one that has died must not wait for it: without the cache every
	// worker takes every task, and replays.
	sdkworker.SetStickyWorkflowCacheSize(0)
	os.Exit(testkit.Main(m))
}

// world is what all cases share. Each case has a tenant, a task queue and a
// blob directory of its own in it.
type world struct {
	db        *pgtest.Database // where faults happen
	calm      *pgtest.Database // where the twins live
	temporal  *testkit.TemporalServer
	client    client.Client // of the test itself
	evidence  []ledger.Observation
	registry  *adapters.Registry
	signer    signing.Signer
	trust     verify.Trust
	tuf       activities.TUF // mirrors are signed under it
	forbidden [][]byte       // what no history may hold, and no log
	attempt   time.Duration  // how long an attempt may take
}

// moment is when everything happens, in every case and its twin.
var moment = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// canary is a text in every document.
const canary = "canary-7f3a91c2d45e"

func openWorld(t *testing.T) *world {
	t.Helper()
	w := &world{db: pgtest.New(t), calm: pgtest.New(t)}
	w.temporal = testkit.Temporal(t, map[string]string{export.AttributeTenant: "Keyword", export.AttributeProfile: "Keyword"})
	var err error
	w.client, err = client.Dial(client.Options{HostPort: w.temporal.Address, Namespace: w.temporal.Namespace,
		Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	w.registry, err = adapters.NewRegistry(jsonraw.Adapter{}, trivydb.Adapter{}, mirrorfull.Adapter{}, mirrordelta.Adapter{})
	require.NoError(t, err)
	w.makeKey(t)
	w.evidence = evidence(t)
	w.attempt = attemptAtMost // until calibrate knows better
	return w
}

// policies has the built-in policy snapshot.
type policies struct{}

func (policies) PolicyOf(context.Context, export.Run) (adapters.Policy, error) {
	pack, err := policy.Baseline()
	if err != nil {
		return adapters.Policy{}, err
	}
	read, err := policy.ReadPack(pack)
	return adapters.Policy{ID: policy.BaselineID, Name: policy.BaselineName, Version: read.Revision, Digest: read.Digest, Pack: pack}, err
}

// makeKey makes a published key: it protects nothing, and its bytes are the
// secret that must appear nowhere.
func (w *world) makeKey(t *testing.T) {
	secret := sha256.Sum256([]byte("exportcenter fault test key"))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret[:])
	require.NoError(t, err)
	w.signer, err = signing.NewSigner(key)
	require.NoError(t, err)
	public, err := signing.ParsePublicKey(w.signer.PublicKeyPEM())
	require.NoError(t, err)
	w.trust = verify.Trust{public}
	w.tuf = activities.TUF{Roots: bundletest.RootsFor(t, w.signer)}
	w.forbidden = [][]byte{secret[:], []byte(hex.EncodeToString(secret[:])), []byte(base64.StdEncoding.EncodeToString(secret[:])), []byte(identity)}
}

// How much evidence there is: cuts documents at which a shard begins, so that
// there are two ranges, and as many between them.
const cuts, between = 9, 9

// evidence gives the project's own advisories again and again, under ids that
// were chosen so that little of it makes many shards.
func evidence(t *testing.T) []ledger.Observation {
	t.Helper()
	paths, err := fs.Glob(sample.OSV, "osv/*.json")
	require.NoError(t, err)
	var all []ledger.Observation
	cutting, plain := 0, 0
	for n := 0; cutting < cuts || plain < between; n++ {
		raw, err := sample.OSV.ReadFile(paths[n%len(paths)])
		require.NoError(t, err)
		o, err := osv.Parse(ledger.Entry{Stream: "faults", File: "f", Name: "n", Bytes: renamed(t, raw, n)})
		require.NoError(t, err)
		row := ledger.Row{Kind: o.Kind, Subject: o.Subject, UpstreamID: o.UpstreamID, Source: o.Source, Stream: o.Stream}
		cut := bundle.CutBefore([]byte(row.Key()), int64(len(o.Canonical)))
		switch {
		case cut && cutting < cuts:
			cutting++
		case !cut && plain < between:
			plain++
		default:
			continue
		}
		all = append(all, o)
	}
	return all
}

// halves are the evidence in two parts, the second of which is new between two mirrors.
func (w *world) halves() [][]ledger.Observation {
	at := len(w.evidence) / 2
	return [][]ledger.Observation{w.evidence[:at], w.evidence[at:]}
}

func renamed(t *testing.T, raw []byte, n int) []byte {
	t.Helper()
	var doc map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &doc))
	doc["id"] = fmt.Appendf(nil, `"EXC-FAULT-%06d"`, n)
	doc["summary"] = []byte(`"` + canary + `"`)
	out, err := json.Marshal(doc)
	require.NoError(t, err)
	return bytes.TrimSpace(out)
}

// identity is a published key that opens what the scenarios encrypt; the text of it is
// a secret that must appear nowhere, as the plaintext must not.
const (
	identity  = "AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZ9K4CN"
	recipient = "age15nsf9y4k28p83wth93tf7hafhvfajp45d2mge80ems45gz0c5gys3me64l"
)

func keys() sealed.Keys {
	id, err := age.ParseX25519Identity(identity)
	if err != nil {
		panic(err)
	}
	return sealed.Keys{Identities: []*age.X25519Identity{id}}
}

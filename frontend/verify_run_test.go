package frontend_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// trusting is a world whose server trusts key 1.
func trusting(t *testing.T) *frontendtest.World {
	t.Helper()
	return frontendtest.New(t, func(c *frontend.Config) {
		c.Trust = verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))}
	})
}

func (a answer) report(t testing.TB) (r verify.Report) {
	t.Helper()
	require.Equal(t, 200, a.Status, a.Body)
	require.NoError(t, bundle.UnmarshalStrict([]byte(a.Body), &r), "the one shape of reports")
	return r
}

// The server's report is the one of the offline verifier, byte for byte.
func TestVerifyRunGivesTheReportOfTheVerifier(t *testing.T) {
	w := trusting(t)
	run, archive := w.Sealed(t, "acme", 1)
	a := newCaller(t, w, "acme").send("POST", runsPath+"/"+run.ID+"/verify", "")
	offline, err := verify.Reader(t.Context(), bytes.NewReader(archive), int64(len(archive)), verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))})
	require.NoError(t, err)
	want, err := json.Marshal(offline)
	require.NoError(t, err)
	require.JSONEq(t, string(want), a.Body)
	require.Equal(t, verify.StatusVerified, a.report(t).Status)
	require.Equal(t, run.ID, a.report(t).RunID)
}

// Of an encrypted bundle the server says that nobody looked inside, and never "verified";
// a good one of another run, and one that is spoiled, fail as others do.
func TestVerifyRunOfEncrypted(t *testing.T) {
	w := trusting(t)
	o, how := bundletest.Options{Tenant: "acme", Signer: bundletest.Key(t, 1)}, bundletest.Encrypting{Mode: "age"}
	run, archive := w.SealedEncrypted(t, o, how)
	a := newCaller(t, w, "acme").send("POST", runsPath+"/"+run.ID+"/verify", "")
	offline, err := verify.Reader(t.Context(), bytes.NewReader(archive), int64(len(archive)), verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))})
	require.NoError(t, err)
	want, err := json.Marshal(offline)
	require.NoError(t, err)
	require.JSONEq(t, string(want), a.Body)
	require.Equal(t, verify.StatusUnopened, a.report(t).Status)
	require.False(t, a.report(t).Encryption.Opened)
	doc, err := openapi3.NewLoader().LoadFromData(frontend.Spec)
	require.NoError(t, err)
	schema := doc.Components.Schemas["VerifyReport"].Value
	var answered any
	require.NoError(t, json.Unmarshal([]byte(a.Body), &answered))
	require.NoError(t, schema.VisitJSON(answered), "the report is as the API's document says")

	other, _ := w.SealedEncrypted(t, o, how)
	files, err := w.Runs.Files(t.Context(), other.Ref())
	require.NoError(t, err)
	mixed := run
	mixed.Result = other.Result
	w.Runs.Put(mixed, files)
	r := newCaller(t, w, "acme").send("POST", runsPath+"/"+run.ID+"/verify", "").report(t)
	require.Equal(t, verify.StatusFailed, r.Status)
	require.Equal(t, verify.ReasonSealMismatch, r.Failure.Reason)

	for _, f := range files {
		if strings.HasPrefix(f.Path, bundle.PayloadDir) {
			w.Objects.Replace("acme", f.Digest, make([]byte, f.Size))
		}
	}
	r = newCaller(t, w, "acme").send("POST", runsPath+"/"+other.ID+"/verify", "").report(t)
	require.Equal(t, verify.StatusFailed, r.Status)
}

func TestVerifyRunByAnotherKey(t *testing.T) {
	w := trusting(t)
	run, _ := w.Sealed(t, "acme", 2)
	r := newCaller(t, w, "acme").send("POST", runsPath+"/"+run.ID+"/verify", "").report(t)
	require.Equal(t, verify.StatusFailed, r.Status)
	require.Equal(t, verify.ReasonUntrustedKey, r.Failure.Reason)
	require.Empty(t, r.Tenant, "nothing of it is believed")
}

// Whatever became of stored bytes, the file is named and the answer is a report.
func TestVerifyRunOfRottenBundles(t *testing.T) {
	for name, test := range map[string]struct {
		harm   func(*frontendtest.World, storage.File)
		class  verify.Class
		reason verify.Reason
	}{
		"changed":  {func(w *frontendtest.World, f storage.File) { w.Objects.Replace("acme", f.Digest, make([]byte, f.Size)) }, verify.ClassContent, verify.ReasonPayloadDigest},
		"ends":     {func(w *frontendtest.World, f storage.File) { w.Objects.Cut("acme", f.Digest, 3) }, verify.ClassContent, verify.ReasonDigest},
		"shorter":  {func(w *frontendtest.World, f storage.File) { w.Objects.Replace("acme", f.Digest, []byte("x")) }, verify.ClassContent, verify.ReasonDigest},
		"missing":  {func(w *frontendtest.World, f storage.File) { w.Objects.Remove("acme", f.Digest) }, verify.ClassAbsent, verify.ReasonMissing},
		"manifest": {nil, verify.ClassSignature, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := trusting(t)
			run, _ := w.Sealed(t, "acme", 1)
			files, err := w.Runs.Files(t.Context(), run.Ref())
			require.NoError(t, err)
			for _, f := range files {
				if test.harm != nil && strings.HasPrefix(f.Path, bundle.PayloadDir) {
					test.harm(w, f)
					r := newCaller(t, w, "acme").send("POST", runsPath+"/"+run.ID+"/verify", "").report(t)
					require.Equal(t, verify.StatusFailed, r.Status)
					require.Equal(t, f.Path, r.Failure.Path)
					require.Equal(t, test.class, r.Failure.Class, r.Failure.Message)
					require.Equal(t, test.reason, r.Failure.Reason)
					require.Contains(t, w.Log.String(), "stored bytes are wrong")
					return
				}
				if test.harm == nil && f.Path == bundle.ManifestPath {
					w.Objects.Replace("acme", f.Digest, bytes.Repeat([]byte("x"), int(f.Size)))
					r := newCaller(t, w, "acme").send("POST", runsPath+"/"+run.ID+"/verify", "").report(t)
					require.Equal(t, test.class, r.Failure.Class)
					require.NotEmpty(t, r.Failure.Path)
					return
				}
			}
			t.Fatal("no file was harmed")
		})
	}
}

// A good bundle of another run does not verify this one.
func TestVerifyRunOfAnotherRunsBundle(t *testing.T) {
	w := trusting(t)
	run, _ := w.Sealed(t, "acme", 1)
	other, _ := w.Sealed(t, "acme", 1)
	files, err := w.Runs.Files(t.Context(), other.Ref())
	require.NoError(t, err)
	run.Result = other.Result
	w.Runs.Put(run, files)
	r := newCaller(t, w, "acme").send("POST", runsPath+"/"+run.ID+"/verify", "").report(t)
	require.Equal(t, verify.ReasonSealMismatch, r.Failure.Reason)
	require.Equal(t, verify.StatusFailed, r.Status)
}

func TestVerifyRunRefuses(t *testing.T) {
	w := trusting(t)
	c := newCaller(t, w, "acme")
	require.Equal(t, 409, c.send("POST", runsPath+"/"+w.Run("acme", export.StateRunning).ID+"/verify", "").Status)
	require.Equal(t, 410, c.send("POST", runsPath+"/"+w.Run("acme", export.StateExpired).ID+"/verify", "").Status)
	require.Equal(t, 404, c.send("POST", runsPath+"/"+w.Run("globex", export.StateRunning).ID+"/verify", "").Status)
	without := frontendtest.New(t)
	run, _ := without.Sealed(t, "acme", 1)
	a := newCaller(t, without, "acme").send("POST", runsPath+"/"+run.ID+"/verify", "")
	require.Equal(t, 503, a.Status, "a server that trusts nobody verifies nothing")
	require.Contains(t, a.problem(t).Message, "verify.trust")
}

// One verification of a tenant is at work at a time, others wait their turn, and
// one whose client is gone ends.
func TestVerificationsAreBounded(t *testing.T) {
	held := &heldObjects{begun: make(chan string, 10), release: make(chan struct{})}
	w := frontendtest.New(t, func(c *frontend.Config) {
		c.Trust = verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))}
		held.Objects, c.Objects = c.Objects, held
	})
	start := func(ctx context.Context, tenant string) chan int {
		run, _ := w.Sealed(t, tenant, 1)
		done := make(chan int, 1)
		go func() {
			req := httptest.NewRequestWithContext(ctx, "POST", runsPath+"/"+run.ID+"/verify", nil)
			req.Header.Set("Authorization", "Bearer "+w.Token(t, tenant))
			rec := httptest.NewRecorder()
			w.Server.ServeHTTP(rec, req)
			done <- rec.Code
		}()
		return done
	}
	ctx, leave := context.WithCancel(t.Context())
	first := start(ctx, "acme")
	require.Equal(t, "acme", <-held.begun)
	second := start(t.Context(), "acme")
	require.Equal(t, 429, <-second)
	other := start(t.Context(), "globex")
	require.Equal(t, "globex", <-held.begun)
	leave()
	require.Equal(t, 503, <-first, "nobody reads it")
	again := start(t.Context(), "acme")
	require.Equal(t, "acme", <-held.begun, "its place is free")
	close(held.release)
	require.Equal(t, 200, <-other)
	require.Equal(t, 200, <-again)
}

// heldObjects says who opens a first blob, and holds everybody up.
type heldObjects struct {
	frontend.Objects
	begun   chan string
	release chan struct{}
}

func (h *heldObjects) Open(ctx context.Context, tenant string, digest bundle.Digest) (storage.Blob, error) {
	select {
	case h.begun <- tenant:
	default:
	}
	select {
	case <-h.release:
		return h.Objects.Open(ctx, tenant, digest)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestAttestation(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Sealed(t, "acme", 1)
	c := newCaller(t, w, "acme")
	a := c.send("GET", runsPath+"/"+run.ID+"/attestation", "")
	require.Equal(t, 200, a.Status, a.Body)
	require.Equal(t, a.Body, c.send("GET", "/exports/"+run.ID+"/attestation", "").Body)
	var list frontend.AttestationList
	require.NoError(t, json.Unmarshal([]byte(a.Body), &list))
	require.Len(t, list.Attestations, 1)
	got := list.Attestations[0]
	require.Equal(t, []frontend.AttestationSubject{{Name: "export-" + run.ID + ".tar", Digest: map[string]string{"sha256": bundle.DigestOf(archive).Hex()}}}, got.Subject)

	// The envelope alone proves it, with the key.
	raw, err := bundle.MarshalCanonical(got.Envelope)
	require.NoError(t, err)
	payload, keyID, err := signing.OpenEnvelope(raw, bundle.StatementPayloadType, []signing.Verifier{bundletest.Verifier(t, bundletest.Key(t, 1))})
	require.NoError(t, err)
	require.Equal(t, got.KeyID, keyID)
	require.Equal(t, got.Envelope.Payload, base64.StdEncoding.EncodeToString(payload))
	statement, err := bundle.ParseAttestation(payload)
	require.NoError(t, err)
	require.Equal(t, bundle.ArchivePredicate, got.PredicateType)
	require.Equal(t, int64(len(archive)), statement.Predicate.Bytes)
	require.Equal(t, run.Result.ManifestDigest, statement.Predicate.ManifestDigest.String())

	// A run of before, one that is at work, and a stranger.
	before, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	old := c.send("GET", runsPath+"/"+before.ID+"/attestation", "")
	require.Equal(t, 409, old.Status)
	require.Equal(t, "ERR_EXPORT_009", old.problem(t).Code)
	require.Equal(t, "ERR_EXPORT_014", c.send("GET", "/exports/"+w.Run("acme", export.StateRunning).ID+"/attestation", "").problem(t).Code)
	require.Equal(t, 404, newCaller(t, w, "globex").send("GET", "/exports/"+run.ID+"/attestation", "").Status)
	require.Equal(t, 401, (&caller{t: t, world: w, client: w.Client(t)}).send("GET", "/exports/nothing", "").Status)

	// A statement about another archive is not this run's.
	run.Result.ArchiveDigest = bundle.DigestOf([]byte("another")).String()
	files, err := w.Runs.Files(t.Context(), run.Ref())
	require.NoError(t, err)
	w.Runs.Put(run, files)
	require.Equal(t, 409, c.send("GET", runsPath+"/"+run.ID+"/attestation", "").Status)
}

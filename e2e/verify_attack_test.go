package e2e

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/signing"
)

const (
	// maxVerify is the most processor time a hostile input may cost the verifier.
	maxVerify = 5 * time.Second
	// maxWait is the most by the clock. It depends on who else is at work, so it
	// is generous: it is there for a verifier that waits and does nothing.
	maxWait = time.Minute
	// maxPeak is the most memory the whole process may take, in bytes.
	maxPeak = 256 << 20
)

// auditor runs the real `stella verify` on files in its folder.
type auditor struct {
	dir, stella string
	signer      signing.Signer
}

func newAuditor(t *testing.T) *auditor {
	a := &auditor{dir: t.TempDir(), stella: program(t, "stella"), signer: bundletest.Key(t, 1)}
	require.NoError(t, os.WriteFile(filepath.Join(a.dir, "key.pub"), a.signer.PublicKeyPEM(), 0o600))
	return a
}

func (a *auditor) write(t *testing.T, name string, archive []byte) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	require.NoError(t, os.WriteFile(path, archive, 0o600))
	return path
}

// verdict is what one `stella verify` said and cost.
type verdict struct {
	verify.Report
	code   int
	peak   int64         // resident bytes
	cost   time.Duration // processor time
	took   time.Duration // by the clock
	stderr string
}

func (a *auditor) verify(t *testing.T, path string, options ...string) verdict {
	t.Helper()
	cmd := exec.Command(a.stella, append([]string{"verify", path, "--key", filepath.Join(a.dir, "key.pub"), "--format", "json"}, options...)...)
	cmd.Dir = a.dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	require.NoError(t, cmd.Start())
	var v verdict
	done, watched := make(chan struct{}), make(chan int64)
	go func() {
		var peak int64
		for {
			peak = max(peak, memory(cmd.Process.Pid, "VmHWM"))
			select {
			case <-done:
				watched <- peak
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	cmd.Wait() //nolint:errcheck // its exit code is looked at
	v.took = time.Since(began)
	close(done)
	v.peak, v.code, v.stderr = <-watched, cmd.ProcessState.ExitCode(), stderr.String()
	v.cost = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &v.Report), "%.300s", stderr.String())
	return v
}

// TestVerifyHostileFiles gives the real program files that are made to hurt:
// each is refused within bounds of processor time, of the clock and of memory
// (TRUST V5).
func TestVerifyHostileFiles(t *testing.T) {
	a := newAuditor(t)
	honest := a.write(t, "honest.tar", bundletest.Build(t, bundletest.Options{Signer: a.signer}))
	idle := a.verify(t, honest)
	require.Zero(t, idle.code, idle.stderr)
	var worst verdict
	for _, c := range []struct {
		name   string
		make   func(*testing.T, *auditor) string
		reason verify.Reason
	}{
		{"a million entries", millionEntries, verify.ReasonTooMany},
		{"zeros of 1 TiB", func(t *testing.T, a *auditor) string { return a.sparse(t, nil, 1<<40) }, verify.ReasonTrailing},
		{"files of 8 GiB", giantEntries, verify.ReasonTrailing},
		{"a file of 8 GiB that is not there", func(t *testing.T, a *auditor) string {
			return a.write(t, "short.tar", header(t, bundle.ReadmePath, bundle.MaxFile))
		}, verify.ReasonTruncated},
		{"a manifest of 16 MiB", document(bundle.ManifestPath, signing.MaxEnvelope, func(n int) string { return strings.Repeat(" ", n) }), verify.ReasonSignatureInvalid},
		{"checksums of 1 GiB", func(t *testing.T, a *auditor) string { return a.giantDocument(t, bundle.ChecksumsPath, 1<<30) }, verify.ReasonTooLarge},
		{"a seal of 1 GiB", func(t *testing.T, a *auditor) string { return a.giantDocument(t, bundle.SealPath, 1<<30) }, verify.ReasonTooLarge},
		{"100,000 signatures", document(bundle.ManifestEnvelopePath, 10<<20, func(int) string {
			return `{"payload":"e30=","payloadType":"x","signatures":[` + strings.Repeat(`{"keyid":"","sig":"AAAA"},`, 100_000) + `]}`
		}), verify.ReasonSignatureEncoding},
		{"a payload of 16 MiB in an envelope", document(bundle.ProvenanceEnvelopePath, signing.MaxEnvelope, func(n int) string {
			head, tail := `{"payload":"`, `","payloadType":"`+bundle.StatementPayloadType+`","signatures":[{"keyid":"`+a.signer.KeyID()+`","sig":"MAYCAQECAQE="}]}`
			return head + strings.Repeat("A", (n-len(head)-len(tail))/4*4) + tail
		}), verify.ReasonSignatureInvalid},
		{"10,000 levels in an envelope", document(bundle.SealPath, 20_000, func(n int) string { return strings.Repeat("[", n) }), verify.ReasonSignatureEncoding},
		{"100,000 levels in a signed manifest", signed(func(text []byte) []byte {
			return append([]byte(`{"A":`+strings.Repeat("[", 100_000)), text...)
		}), verify.ReasonManifest},
		{"16 MiB of members in a signed manifest", signed(func([]byte) []byte { return []byte("{" + strings.Repeat(`"a":{},`, 1_600_000) + `"b":1}`) }), verify.ReasonManifest},
		{"a number of 8 million digits in a signed manifest", signed(func([]byte) []byte { return []byte(`{"A":` + strings.Repeat("9", 8_000_000) + "}") }), verify.ReasonManifest},
		{"a bomb of 1 GiB, signed", bomb(1, nil), verify.ReasonContentSize},
		{"a bomb of 1 GiB that says its size, signed", bomb(1, func(c *bundle.Content) { c.ContentBytes = 1 << 30 }), verify.ReasonFrame},
		{"a window of 2 GiB, signed", payload(func([]byte) []byte { return []byte{0x28, 0xb5, 0x2f, 0xfd, 0x04, 21 << 3, 0x11, 0, 0, 'x', '\n'} }), verify.ReasonFrame},
		{"a million skippable frames, signed", payload(func([]byte) []byte { return bytes.Repeat([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, 1_000_000) }), verify.ReasonFrame},
		{"a million empty frames, signed", payload(func([]byte) []byte { return bytes.Repeat(pack(nil), 1_000_000) }), verify.ReasonFrame},
		{"chance", func(t *testing.T, a *auditor) string {
			b := make([]byte, 32<<20)
			rand.NewChaCha8([32]byte{}).Read(b) //nolint:errcheck // never fails
			return a.write(t, "chance.tar", b)
		}, verify.ReasonHeader},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := c.make(t, a)
			v := a.verify(t, path)
			require.NoError(t, os.Remove(path))
			require.NotNil(t, v.Failure, "it was verified")
			require.Equal(t, c.reason, v.Failure.Reason, v.Failure.Message)
			require.Equal(t, v.Failure.Class.ExitCode(), v.code, v.stderr)
			require.Equal(t, verify.StatusFailed, v.Status)
			t.Logf("%s of processor time, %d MiB above idle: %.120s", v.cost.Round(time.Millisecond), (v.peak-idle.peak)>>20, v.Failure.Message)
			require.LessOrEqual(t, v.cost, maxVerify, "processor time")
			require.LessOrEqual(t, v.took, maxWait, "by the clock")
			require.LessOrEqual(t, v.peak, int64(maxPeak), "peak memory")
			worst.cost, worst.peak = max(worst.cost, v.cost), max(worst.peak, v.peak)
		})
	}
	t.Logf("worst: %s of processor time, %d MiB above the %d MiB at idle", worst.cost.Round(time.Millisecond), (worst.peak-idle.peak)>>20, idle.peak>>20)
	left, err := os.ReadDir(a.dir)
	require.NoError(t, err)
	require.Len(t, left, 2, "the verifier wrote something")
}

// sparse writes a file that begins with head and has size bytes, mostly none.
func (a *auditor) sparse(t *testing.T, head []byte, size int64) string {
	path := a.write(t, "sparse.tar", head)
	if err := os.Truncate(path, size); err != nil {
		testkit.Missing(t, fmt.Sprintf("a file system with files of %d bytes: %v", size, err))
	}
	return path
}

func header(t *testing.T, path string, size int64) []byte {
	h, err := bundle.Header(path, size)
	require.NoError(t, err)
	return h[:]
}

func millionEntries(t *testing.T, a *auditor) string {
	var head bytes.Buffer
	for n := range 100_010 { // more than are read
		head.Write(header(t, fmt.Sprintf("data/%012d", n), 0))
	}
	return a.sparse(t, head.Bytes(), 1_000_002*bundle.BlockSize)
}

func giantEntries(t *testing.T, a *auditor) string {
	const entries = 64
	step := bundle.EntrySize(bundle.MaxFile)
	path := a.sparse(t, nil, entries*step+10*bundle.BlockSize)
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer file.Close()
	for n := range int64(entries) {
		_, err := file.WriteAt(header(t, fmt.Sprintf("data/%012d", n), bundle.MaxFile), n*step)
		require.NoError(t, err)
	}
	return path
}

// document puts a text of n bytes in place of the entry at path. The message
// bundle of a manifest follows: its digest needs no key.
func document(path string, n int, text func(n int) string) func(*testing.T, *auditor) string {
	return func(t *testing.T, a *auditor) string {
		b := bundletest.New(t, bundletest.Options{Signer: a.signer})
		b.Replace(t, path, []byte(text(n)))
		if path == bundle.ManifestPath {
			sig := []byte{0x30, 6, 2, 1, 1, 2, 1, 1} // r and s are 1
			hint, err := signing.EncodeMessageBundle(a.signer.KeyID(), bundle.DigestOf([]byte(text(n))), sig)
			require.NoError(t, err)
			b.Replace(t, bundle.ManifestBundlePath, hint)
		}
		return a.write(t, "document.tar", b.Raw(t))
	}
}

// giantDocument says that the entry at path has size bytes, which are a hole.
func (a *auditor) giantDocument(t *testing.T, path string, size int64) string {
	b := bundletest.New(t, bundletest.Options{Signer: a.signer})
	at := slices.IndexFunc(b.Entries, func(e bundletest.Entry) bool { return e.Path == path })
	before, after := b.Clone(), b.Clone()
	before.Entries, after.Entries = b.Entries[:at], b.Entries[at+1:]
	head := before.Raw(t)
	head = append(head[:len(head)-bundle.TrailerSize], header(t, path, size)...)
	rest := after.Raw(t)
	end := int64(len(head)) + size
	file := a.sparse(t, head, end+int64(len(rest)))
	out, err := os.OpenFile(file, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer out.Close()
	_, err = out.WriteAt(rest, end)
	require.NoError(t, err)
	return file
}

// signed is a bundle by the trusted key whose manifest is another text.
func signed(change func([]byte) []byte) func(*testing.T, *auditor) string {
	return func(t *testing.T, a *auditor) string {
		return a.write(t, "signed.tar", bundletest.Build(t, bundletest.Options{Signer: a.signer, Documents: func(path string, encoded []byte) []byte {
			if path == bundle.ManifestPath {
				return change(encoded)
			}
			return encoded
		}}))
	}
}

// payload is a bundle by the trusted key with one other payload file.
func payload(change func([]byte) []byte) func(*testing.T, *auditor) string {
	return func(t *testing.T, a *auditor) string {
		return a.write(t, "payload.tar", bundletest.Build(t, bundletest.Options{Signer: a.signer, Shards: bundletest.Small()[:1],
			Payload: func(_ string, stored []byte) []byte { return change(stored) }}))
	}
}

// bomb packs so many GiB of one letter into a bundle by the trusted key.
func bomb(gib int, change func(*bundle.Content)) func(*testing.T, *auditor) string {
	return func(t *testing.T, a *auditor) string {
		var packed bytes.Buffer
		w, err := zstd.NewWriter(&packed, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
		require.NoError(t, err)
		block := bytes.Repeat([]byte("x"), 1<<20)
		for range gib << 10 {
			_, err := w.Write(block)
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		options := bundletest.Options{Signer: a.signer, Shards: bundletest.Small()[:1], Payload: func(string, []byte) []byte { return packed.Bytes() }}
		if change != nil {
			options.Manifest = func(m *bundle.Manifest) {
				contents := slices.Clone(m.Contents)
				change(&contents[0])
				require.NoError(t, m.SetContents(contents))
			}
		}
		require.Greater(t, gib<<30, 1000*packed.Len(), "not a bomb")
		return a.write(t, "bomb.tar", bundletest.Build(t, options))
	}
}

func pack(b []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithZeroFrames(true))
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(b, nil)
}

// TestVerifyMemoryIsFlat: a bundle twenty times as large takes as much memory,
// but for what the report says of each file, and the buffers of a second worker
// that a small bundle may end without.
func TestVerifyMemoryIsFlat(t *testing.T) {
	a := newAuditor(t)
	small, large := a.great(t, "small.tar", 10), a.great(t, "large.tar", 200)
	require.Greater(t, sizeOf(t, large), int64(200<<20))
	require.Less(t, sizeOf(t, small), int64(12<<20))
	var peaks [2][]int64
	for range 2 {
		for i, path := range []string{small, large} {
			v := a.verify(t, path)
			require.Zero(t, v.code, v.stderr)
			peaks[i] = append(peaks[i], v.peak)
		}
	}
	one, many := slices.Min(peaks[0]), slices.Min(peaks[1])
	t.Logf("peak memory: %.1f MiB for %d MiB, %.1f MiB for %d MiB", float64(one)/(1<<20), sizeOf(t, small)>>20, float64(many)/(1<<20), sizeOf(t, large)>>20)
	require.LessOrEqual(t, many, one+one/10+16<<20)
}

// great writes a bundle of payload files of 1 MiB each, all of them alike.
func (a *auditor) great(t *testing.T, name string, files int) string {
	noise := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(noise) //nolint:errcheck // never fails
	line := []byte(`{"x":"` + hex.EncodeToString(noise) + "\"}\n")
	packed := pack(line)
	info := bundle.PayloadInfo{Digest: bundle.DigestOf(packed), Size: int64(len(packed)), ContentDigest: bundle.DigestOf(line), ContentSize: int64(len(line)), Records: 1}
	var shards []bundletest.Shard
	for i := range files {
		s := bundletest.Shard{Type: "advisories", Lines: []string{"{}"}}
		if i > 0 {
			s.Key = fmt.Sprint(i)
		}
		shards = append(shards, s)
	}
	built := bundletest.New(t, bundletest.Options{Signer: a.signer, Shards: shards, Payload: func(string, []byte) []byte { return packed },
		Manifest: func(m *bundle.Manifest) {
			contents := slices.Clone(m.Contents)
			for i := range contents {
				contents[i] = bundle.NewContent(contents[i].Path, info)
			}
			require.NoError(t, m.SetContents(contents))
		}})
	path := filepath.Join(a.dir, name)
	out, err := os.Create(path)
	require.NoError(t, err)
	defer out.Close()
	_, err = built.WriteTo(out)
	require.NoError(t, err)
	return path
}

func sizeOf(t *testing.T, path string) int64 {
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Size()
}

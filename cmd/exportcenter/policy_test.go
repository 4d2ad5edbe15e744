package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/adapters/jsonpolicy"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/policy"
)

// Decisions are read of what was verified to the end: a bundle that is encrypted is not.
func TestEncryptedDecisionsAreNotReplayed(t *testing.T) {
	plain, encrypted := bundletest.BuildEncrypted(t, bundletest.Options{}, bundletest.Encrypting{Mode: bundle.EncryptionAge})
	file := filepath.Join(t.TempDir(), "bundle.tar")
	require.NoError(t, os.WriteFile(file, encrypted.Bytes(t), 0o600))
	_, err := replayFile(t.Context(), file, verify.Trust{bundletest.Verifier(t, plain.Signer)}, t.TempDir())
	require.ErrorContains(t, err, "open it first")
}

// decidedShards are the payload files of a bundle about the adapter's own test
// evidence; change may change the lines of one, which is then signed as it is.
func decidedShards(t *testing.T, change func(path string, content []byte) []byte) []bundletest.Shard {
	t.Helper()
	entries := adaptertest.Sample(t)
	paths, err := filepath.Glob("../../adapters/jsonpolicy/testdata/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		entries = append(entries, adaptertest.Entry{Source: "harbour", Stream: "ferry", Text: text})
	}
	raw, err := policy.Baseline()
	require.NoError(t, err)
	pack, err := policy.ReadPack(raw)
	require.NoError(t, err)
	result, err := adaptertest.Work{
		Adapter: jsonpolicy.Adapter{}, Packs: jsonraw.Adapter{}, Documents: adaptertest.Lines(t, entries...),
		Policy: adapters.Policy{ID: policy.BaselineID, Name: policy.BaselineName, Version: pack.Revision, Digest: pack.Digest, Pack: raw},
	}.Do(t, t.Context())
	require.NoError(t, err)
	var shards []bundletest.Shard
	for _, f := range result.Payload {
		if !strings.HasSuffix(f.Path, ".zst") {
			shards = append(shards, bundletest.Shard{Path: f.Path, Stored: change(f.Path, f.Stored)})
			continue
		}
		content, err := bundle.OpenPayload(bytes.NewReader(f.Stored))
		require.NoError(t, err)
		lines, err := io.ReadAll(content)
		require.NoError(t, err)
		text := strings.TrimSuffix(string(change(f.Path, lines)), "\n")
		if text != "" {
			shards = append(shards, bundletest.Shard{Path: f.Path, Lines: strings.Split(text, "\n")})
		}
	}
	return shards
}

func unchanged(_ string, content []byte) []byte { return content }

// decidedBundle signs such a bundle and writes it beside its key.
func decidedBundle(t *testing.T, shards []bundletest.Shard) (file, key string) {
	t.Helper()
	signer := bundletest.Key(t, 1)
	raw := bundletest.Build(t, bundletest.Options{Shards: shards, Signer: signer, Manifest: func(m *bundle.Manifest) {
		m.Profile.ID, m.Profile.Variant, m.Profile.Name = "prof-json-policy", "policy", "json-policy"
		at := slices.IndexFunc(shards, func(s bundletest.Shard) bool { return s.Path == bundle.PolicySnapshotPath })
		said, err := bundle.PolicyOf(shards[at].Stored)
		require.NoError(t, err)
		m.Policy = &said
	}})
	dir := t.TempDir()
	file, key = filepath.Join(dir, "bundle.tar"), filepath.Join(dir, "key.pub")
	require.NoError(t, os.WriteFile(file, raw, 0o600))
	require.NoError(t, os.WriteFile(key, signer.PublicKeyPEM(), 0o600))
	return file, key
}

// replayOf runs the command and gives its output and exit code.
func replayOf(t *testing.T, arguments ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	root := rootCommand()
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append([]string{"policy", "replay"}, arguments...))
	err := root.ExecuteContext(t.Context())
	if err == nil {
		return out.String(), 0
	}
	return out.String() + err.Error(), exitCode(err)
}

func TestReplayOfABundle(t *testing.T) {
	file, key := decidedBundle(t, decidedShards(t, unchanged))
	scratch := t.TempDir()
	out, code := replayOf(t, file, "--trust", filepath.Dir(key), "--scratch", scratch)
	require.Zero(t, code, out)
	require.Contains(t, out, "SAME DECISIONS")
	require.Contains(t, out, "findings   6\n")
	left, err := os.ReadDir(scratch)
	require.NoError(t, err)
	require.Empty(t, left)

	out, code = replayOf(t, file, "--key", key, "--format", "json")
	require.Zero(t, code, out)
	var report policy.Replayed
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.True(t, report.Same)
	require.Equal(t, policy.BaselineID, report.SnapshotID)
}

// A bundle may be signed and say what does not follow from its evidence: only
// deciding again finds that.
func TestReplayFindsWhatASignatureCovers(t *testing.T) {
	var id string
	shards := decidedShards(t, func(path string, content []byte) []byte {
		if !strings.HasPrefix(path, "data/policy/findings") {
			return content
		}
		changed := bytes.Replace(content, []byte(`"action":"suppress"`), []byte(`"action":"allow"`), 1)
		require.NotEqual(t, content, changed)
		for line := range bytes.Lines(changed) {
			var f policy.Finding
			require.NoError(t, json.Unmarshal(line, &f))
			if f.Action == policy.Allow {
				id = f.ID
			}
		}
		return changed
	})
	file, key := decidedBundle(t, shards)
	out, code := replayOf(t, file, "--key", key)
	require.Equal(t, 2, code, out)
	require.Contains(t, out, "OTHER DECISIONS")
	require.Contains(t, out, id)
	require.Contains(t, out, "data/policy/findings-0000000000000000.jsonl.zst, line 2")

	left := decidedShards(t, func(path string, content []byte) []byte {
		if strings.HasPrefix(path, "data/raw/vex") {
			return nil // a statement that was decided on is not there
		}
		return content
	})
	file, key = decidedBundle(t, left)
	out, code = replayOf(t, file, "--key", key)
	require.Equal(t, 2, code, out)
	require.Contains(t, out, "decision-traces")
}

func TestReplayExitCodes(t *testing.T) {
	file, key := decidedBundle(t, decidedShards(t, unchanged))
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	flipped := bytes.Clone(raw)
	flipped[bytes.Index(raw, []byte("data/policy/findings"))+2*512] ^= 1
	plain := bundletest.Build(t, bundletest.Options{Signer: bundletest.Key(t, 1)})
	other := write("other.pub", bundletest.Key(t, 2).PublicKeyPEM())
	for name, c := range map[string]struct {
		arguments []string
		code      int
		says      string
	}{
		"a flipped bit":      {[]string{write("flipped.tar", flipped), "--key", key}, 2, ""},
		"another key":        {[]string{file, "--key", other}, 3, ""},
		"no such file":       {[]string{filepath.Join(dir, "none.tar"), "--key", key}, 4, ""},
		"no such key":        {[]string{file, "--key", filepath.Join(dir, "none.pub")}, 4, ""},
		"no key in there":    {[]string{file, "--trust", t.TempDir()}, 4, ""},
		"a bundle of raw":    {[]string{write("plain.tar", plain), "--key", key}, 4, "has no decisions"},
		"no key at all":      {[]string{file}, 5, "--trust"},
		"no bundle":          {[]string{"--key", key}, 5, "BUNDLE"},
		"an unknown flag":    {[]string{file, "--kye", key}, 5, "kye"},
		"an unknown format":  {[]string{file, "--key", key, "--format", "xml"}, 5, "xml"},
		"nowhere to sort":    {[]string{file, "--key", key, "--scratch", filepath.Join(dir, "none")}, 5, "none"},
		"not a bundle":       {[]string{key, "--key", key}, 2, ""},
		"a key that is none": {[]string{file, "--key", file}, 3, ""},
	} {
		out, code := replayOf(t, c.arguments...)
		require.Equal(t, c.code, code, "%s: %s", name, out)
		require.Contains(t, out, c.says, name)
	}
}

// A file that changes after it was verified is not believed.
func TestReplayOfAFileThatChanges(t *testing.T) {
	file, _ := decidedBundle(t, decidedShards(t, unchanged))
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	d := &decisions{}
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	d.File, d.entries = f, map[string]section{}
	require.NoError(t, d.findEntries())
	at := d.entries["data/raw/advisories-0000000000000000.jsonl.zst"]
	manifest, err := bundle.ParseManifest(raw[d.entries[bundle.ManifestPath].from:][:d.entries[bundle.ManifestPath].size])
	require.NoError(t, err)
	d.contents = manifest.Contents
	for i := range d.contents {
		d.contents[i].ContentDigest = bundle.DigestOf(nil)
	}
	require.NotZero(t, at.size)
	_, err = policy.Replay(t.Context(), d.recorded(), t.TempDir(), 0)
	require.ErrorIs(t, err, bundle.ErrRotten)
}

// Another bundle in the place of the one that was verified is not read.
func TestReplayOfAnotherFile(t *testing.T) {
	file, key := decidedBundle(t, decidedShards(t, unchanged))
	trust, err := verify.LoadTrust(key, "")
	require.NoError(t, err)
	report, err := verify.File(t.Context(), file, trust)
	require.NoError(t, err)
	opened, err := openDecisions(file, report)
	require.NoError(t, err)
	require.NoError(t, opened.Close())
	report.PayloadDigest = bundle.DigestOf(nil).String()
	_, err = openDecisions(file, report)
	require.ErrorContains(t, err, "changed after it was verified")
	require.Equal(t, 2, exitCode(err))
}

func TestPackCommands(t *testing.T) {
	raw, err := policy.Baseline()
	require.NoError(t, err)
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.tar.gz"), filepath.Join(dir, "bad.tar.gz")
	require.NoError(t, os.WriteFile(good, raw, 0o600))
	require.NoError(t, os.WriteFile(bad, raw[:100], 0o600))
	for file, code := range map[string]int{good: 0, bad: 2, filepath.Join(dir, "none"): 4, dir: 5} {
		root := rootCommand()
		root.SetOut(io.Discard)
		root.SetArgs([]string{"policy", "check", file})
		err := root.ExecuteContext(t.Context())
		require.Equal(t, code == 0, err == nil, file)
		if err != nil {
			require.Equal(t, code, exitCode(err), file)
		}
	}
	var out bytes.Buffer
	root := rootCommand()
	root.SetOut(&out)
	root.SetArgs([]string{"policy", "capabilities"})
	require.NoError(t, root.ExecuteContext(t.Context()))
	require.Equal(t, policy.Capabilities(), out.Bytes())
}

// Package bundletest makes small, honest bundles for tests, through the same
// public functions the service uses, and takes them apart again so that a test
// can spoil exactly one thing.
package bundletest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/signing/keyfile"
	"github.com/stella-ops/exportcenter/tuf"
)

// Shard is one payload file to make.
type Shard struct {
	Type string // "advisories"
	Key  string // boundary key; "" makes the first shard of its type
	// Tenant and Project are another tenant's whose evidence it is; "" = the bundle's own.
	Tenant, Project string
	Lines           []string
	// Path names a file that was built, in place of what Type and Key make; Stored
	// is its content when it is not of lines.
	Path   string
	Stored []byte
}

// File is a payload file of any form.
type File struct {
	Path   string
	Stored []byte
	Info   bundle.PayloadInfo
}

// Options say what to build. The zero value is a good small bundle.
type Options struct {
	RunID, Tenant, Project string
	Shards                 []Shard        // nil = three documents in two shards
	Files                  []File         // payload files behind the shards, as they are
	Kind, Variant          string         // "" = json, raw
	Signer                 signing.Signer // nil = Key(t, 1)
	// Payload may change a payload file before it is described.
	Payload func(path string, stored []byte) []byte
	// Manifest, Provenance and Seal may change what will be encoded and signed.
	Manifest   func(*bundle.Manifest)
	Provenance func(*bundle.Provenance)
	Seal       func(*bundle.Seal)
	// Documents may change the encoded bytes of a manifest before they are signed.
	Documents func(path string, encoded []byte) []byte
	// PayloadType may change the payload type of the signature at path.
	PayloadType func(path, payloadType string) string
	// Entries may change the entries before checksums.txt is made of them.
	Entries func(map[string][]byte)
	// Checksums may change checksums.txt before the seal.
	Checksums func([]byte) []byte
	// TUF makes the metadata of a mirror; nil = that of TUFOf.
	TUF func(m bundle.Manifest, files []tuf.File) tuf.Set
}

// Entry is one entry of an archive.
type Entry struct {
	Path string
	Data []byte
}

// Bundle is a built bundle in pieces.
type Bundle struct {
	Manifest bundle.Manifest
	Signer   signing.Signer
	Entries  []Entry // in archive order
}

// Key makes the signing key number n: always the same one.
func Key(t testing.TB, n byte, algorithm ...signing.Algorithm) signing.Signer {
	t.Helper()
	alg := signing.ECDSAP256
	if len(algorithm) > 0 {
		alg = algorithm[0]
	}
	key, err := keyfile.Generate(alg, rand.NewChaCha8([32]byte{0: n}))
	require.NoError(t, err)
	signer, err := signing.NewSigner(key)
	require.NoError(t, err)
	return signer
}

// Verifier gives the public half of signer.
func Verifier(t testing.TB, signer signing.Signer) signing.Verifier {
	t.Helper()
	verifier, err := signing.ParsePublicKey(signer.PublicKeyPEM())
	require.NoError(t, err)
	return verifier
}

// Small are the documents of the zero Options.
func Small() []Shard {
	return []Shard{
		{Type: "advisories", Lines: []string{`{"id":"GO-2026-0001","summary":"a"}`, `{"id":"GO-2026-0002"}`}},
		{Type: "advisories", Key: "pkg:golang/example.org/b\nGO-2026-0003", Lines: []string{`{"id":"GO-2026-0003"}`}},
	}
}

// Build makes a bundle and gives its bytes.
func Build(t testing.TB, options Options) []byte {
	t.Helper()
	return New(t, options).Bytes(t)
}

// New makes a bundle in pieces.
func New(t testing.TB, options Options) *Bundle {
	t.Helper()
	if options.Shards == nil && options.Files == nil {
		options.Shards = Small()
	}
	if options.Signer == nil {
		options.Signer = Key(t, 1)
	}
	b := &builder{t: t, o: options, entries: map[string][]byte{}}
	b.payload()
	b.files()
	b.documents()
	b.signatures()
	b.metadata()
	return b.seal()
}

type builder struct {
	t          testing.TB
	o          Options
	contents   []bundle.Content
	manifest   bundle.Manifest
	export     []byte
	provenance []byte
	entries    map[string][]byte
	mirror     bundle.Mirror
}

func (b *builder) payload() {
	for _, s := range b.o.Shards {
		path := bundle.ShardPath(s.Type, s.Key, s.Key == "")
		if s.Tenant != "" {
			path = bundle.TenantShardPath(s.Tenant, s.Project, s.Type, s.Key, s.Key == "")
		}
		if s.Path != "" {
			path = s.Path
		}
		if s.Stored != nil {
			info := bundle.PayloadInfo{Digest: bundle.DigestOf(s.Stored), Size: int64(len(s.Stored)), ContentDigest: bundle.DigestOf(s.Stored), ContentSize: int64(len(s.Stored)), Records: 1}
			b.entries[path] = s.Stored
			b.contents = append(b.contents, bundle.NewContent(path, info))
			continue
		}
		var stored bytes.Buffer
		w, err := bundle.NewPayloadWriter(&stored)
		require.NoError(b.t, err)
		for _, line := range s.Lines {
			require.NoError(b.t, w.WriteLine([]byte(line)))
		}
		info, err := w.Close()
		require.NoError(b.t, err)
		data := stored.Bytes()
		if b.o.Payload != nil {
			data = b.o.Payload(path, data)
			info.Digest, info.Size = bundle.DigestOf(data), int64(len(data))
		}
		b.entries[path] = data
		b.contents = append(b.contents, bundle.NewContent(path, info))
	}
}

func (b *builder) files() {
	for _, f := range b.o.Files {
		if bundle.IsOriginal(f.Path) {
			b.originals(f)
			continue
		}
		info, data := f.Info, f.Stored
		if b.o.Payload != nil {
			data = b.o.Payload(f.Path, bytes.Clone(data))
		}
		info.Digest, info.Size = bundle.DigestOf(data), int64(len(data))
		b.entries[f.Path] = data
		b.contents = append(b.contents, bundle.NewContent(f.Path, info))
	}
}

// originals takes a segment apart: each of its entries is one of the bundle.
func (b *builder) originals(f File) {
	err := bundle.EachEntry(bytes.NewReader(f.Stored), func(path string, _ int64, content io.Reader) error {
		data, err := io.ReadAll(content)
		if b.o.Payload != nil {
			data = b.o.Payload(path, data)
		}
		b.entries[path] = data
		b.mirror.Originals.Count++
		b.mirror.Originals.Bytes += int64(len(data))
		return err
	})
	require.NoError(b.t, err)
}

// mirrored fills in what the manifest of a mirror says beyond its contents.
func (b *builder) mirrored() {
	if b.manifest.Profile.Kind != "mirror" {
		return
	}
	b.mirror.Generation = 1
	b.manifest.Mirror = &b.mirror
	if text, there := b.entries[bundle.DeltaPath]; there {
		if delta, err := bundle.DeltaOf(text); err == nil { // else spoiled
			b.manifest.Delta, b.mirror.Generation = &delta, delta.Target.Generation
		}
	}
}

// policy is what the manifest says of the decisions among the files.
func (b *builder) policy() *bundle.Policy {
	snapshot, there := b.entries[bundle.PolicySnapshotPath]
	if !there {
		return nil
	}
	policy, err := bundle.PolicyOf(snapshot)
	if err != nil {
		return nil // spoiled; the test says what the manifest claims
	}
	return &policy
}

func (b *builder) documents() {
	kind, variant := or(b.o.Kind, "json"), or(b.o.Variant, "raw")
	b.manifest = bundle.Manifest{
		Schema: bundle.ManifestSchema, Version: bundle.ManifestVersion,
		RunID: or(b.o.RunID, "019a0000-0000-7000-8000-000000000001"), Tenant: or(b.o.Tenant, "acme"), Project: b.o.Project,
		Profile:     bundle.Profile{ID: "prof-" + kind + "-" + variant, Kind: kind, Variant: variant, Name: kind + "-" + variant, Revision: 1},
		Selectors:   json.RawMessage(`{}`),
		GeneratedAt: "2026-11-21T08:00:00Z",
		Compression: bundle.EncoderCompression(),
		Keys:        []bundle.Key{{KeyID: b.o.Signer.KeyID(), Algorithm: string(b.o.Signer.Algorithm())}},
		Tool:        bundle.Tool{Name: "exportcenter", Version: "v0.0.0-test", Adapters: map[string]string{kind + ":" + variant: "1"}},
		Policy:      b.policy(),
	}
	b.manifest.ExportID = b.manifest.RunID
	require.NoError(b.t, b.manifest.SetContents(b.contents))
	b.mirrored()
	if b.o.Manifest != nil {
		b.o.Manifest(&b.manifest)
	}
	b.export = b.encode(bundle.ManifestPath, b.manifest.Encode)

	inputs := make([]bundle.Input, len(b.contents))
	for i, c := range b.contents {
		inputs[i] = bundle.Input{Name: "ledger/" + c.Path, Digest: bundle.DigestOf([]byte(c.Path))}
	}
	p := bundle.NewProvenance(b.manifest, bundle.DigestOf(b.export), json.RawMessage(`{}`), inputs)
	if b.o.Provenance != nil {
		b.o.Provenance(&p)
	}
	b.provenance = b.encode(bundle.ProvenancePath, p.Encode)
	b.entries[bundle.ReadmePath] = bundle.Readme(b.manifest, nil)
	b.entries[bundle.GuidePath] = bundle.VerifyGuide(b.manifest)
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

func (b *builder) encode(path string, encode func() ([]byte, error)) []byte {
	encoded, err := encode()
	require.NoError(b.t, err)
	if b.o.Documents != nil {
		encoded = b.o.Documents(path, encoded)
	}
	b.entries[path] = encoded
	return encoded
}

func (b *builder) typeOf(path, payloadType string) string {
	if b.o.PayloadType != nil {
		return b.o.PayloadType(path, payloadType)
	}
	return payloadType
}

func (b *builder) signatures() {
	ctx, signer := context.Background(), b.o.Signer
	sig, err := signer.Sign(ctx, b.export)
	require.NoError(b.t, err)
	b.entries[bundle.ManifestBundlePath], err = signing.EncodeMessageBundle(signer.KeyID(), bundle.DigestOf(b.export), sig)
	require.NoError(b.t, err)
	b.entries[bundle.ManifestEnvelopePath], err = signing.SignEnvelope(ctx, signer,
		b.typeOf(bundle.ManifestEnvelopePath, bundle.ManifestPayloadType), b.export)
	require.NoError(b.t, err)
	b.entries[bundle.ProvenanceEnvelopePath], err = signing.SignEnvelope(ctx, signer,
		b.typeOf(bundle.ProvenanceEnvelopePath, bundle.StatementPayloadType), b.provenance)
	require.NoError(b.t, err)
	statement := b.typeOf(bundle.ProvenanceBundlePath, bundle.StatementPayloadType)
	sig, err = signer.Sign(ctx, signing.PAE(statement, b.provenance))
	require.NoError(b.t, err)
	b.entries[bundle.ProvenanceBundlePath], err = signing.EncodeDSSEBundle(statement, b.provenance, signer.KeyID(), sig)
	require.NoError(b.t, err)
}

// metadata adds what full mirrors have beside their payload.
func (b *builder) metadata() {
	if b.manifest.Mirror == nil || b.manifest.Delta != nil {
		return
	}
	files := tuf.FilesOf(b.manifest.Contents)
	for _, path := range []string{bundle.ManifestPath, bundle.ProvenancePath} {
		files = append(files, tuf.File{Path: path, Digest: bundle.DigestOf(b.entries[path]), Bytes: int64(len(b.entries[path]))})
	}
	if b.o.TUF == nil {
		b.o.TUF = func(m bundle.Manifest, files []tuf.File) tuf.Set { return TUFOf(b.t, b.o.Signer, m, files) }
	}
	for path, document := range TUFEntries(b.o.TUF(b.manifest, files)) {
		b.entries[path] = document
	}
}

func (b *builder) seal() *Bundle {
	if b.o.Entries != nil {
		b.o.Entries(b.entries)
	}
	var listed []bundle.Listed
	for path, data := range b.entries {
		if !bundle.IsOriginal(path) {
			listed = append(listed, bundle.Listed{Path: path, Digest: bundle.DigestOf(data)})
		}
	}
	checksums := bundle.Checksums(listed)
	if b.o.Checksums != nil {
		checksums = b.o.Checksums(checksums)
	}
	b.entries[bundle.ChecksumsPath] = checksums
	built := &Bundle{Manifest: b.manifest, Signer: b.o.Signer}
	for path, data := range b.entries {
		built.Entries = append(built.Entries, Entry{path, data})
	}
	slices.SortFunc(built.Entries, func(x, y Entry) int {
		if bundle.PathBefore(x.Path, y.Path) {
			return -1
		}
		return 1
	})
	built.Seal(b.t, b.o.Signer, b.typeOf(bundle.SealPath, bundle.SealPayloadType), b.o.Seal)
	return built
}

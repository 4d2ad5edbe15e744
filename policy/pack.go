package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// Bounds of a pack.
const (
	// MaxPack is the most bytes of a pack as it is imported.
	MaxPack = 4 << 20
	// maxUnpacked is the most bytes of all its files.
	maxUnpacked = 16 << 20
	// maxRego is the most bytes of all its Rego files. Compiling them cannot be stopped,
	// and takes some 10 s and 200 MiB for a MiB of small rules.
	maxRego     = 1 << 20
	maxFiles    = 1000
	maxName     = 256
	maxRevision = 256
)

// Pack is a policy pack that was read and found to be allowed: an OPA bundle.
type Pack struct {
	// Revision is what its publisher calls it, the policyVersion of snapshots.
	Revision string
	Digest   bundle.Digest // of the pack's bytes

	modules []source
	rules   int // bytes of the modules
	data    map[string]any
}

// source is a Rego file.
type source struct{ name, text string }

// manifest is a bundle's .manifest (OPA, "Bundle File Format").
type manifest struct {
	Revision     string          `json:"revision"`
	Roots        []string        `json:"roots"`
	RegoVersion  *int            `json:"rego_version"`
	FileVersions map[string]int  `json:"file_rego_versions"`
	Wasm         []any           `json:"wasm"`
	Metadata     json.RawMessage `json:"metadata"`
}

// refused makes the error of a pack that is not taken.
func refused(format string, args ...any) error {
	err := export.Errorf(export.CodePolicySnapshot, "policy pack: "+format, args...)
	err.Field = "pack"
	return err
}

// ReadPack reads a policy pack and compiles it: an OPA bundle (tar, gzip) with a
// .manifest that names a revision, Rego v1 files and data.json files. Its size,
// entries and paths are bounded. A pack that is not whole, does not compile,
// uses a function that is not allowed, or lacks data.stellaops.policy.decision
// is refused with file and line.
func ReadPack(raw []byte) (*Pack, error) {
	files, err := unpack(raw)
	if err != nil {
		return nil, err
	}
	p := &Pack{Digest: bundle.DigestOf(raw), data: map[string]any{}}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := p.take(name, files[name]); err != nil {
			return nil, err
		}
	}
	if p.Revision == "" {
		return nil, refused(`it has no .manifest with a "revision"; add {"revision": "2026-11-01", "rego_version": 1}, or build it with opa build --revision`)
	}
	if len(p.modules) == 0 {
		return nil, refused("it has no .rego file")
	}
	if _, err := p.compile(); err != nil {
		return nil, err
	}
	return p, nil
}

// take takes over one file.
func (p *Pack) take(name string, content []byte) error {
	switch folder, file := path.Split(name); {
	case name == ".manifest":
		return p.readManifest(content)
	case strings.HasSuffix(file, ".rego"):
		if p.rules += len(content); p.rules > maxRego {
			return refused("%s: the .rego files have more than %d bytes; what is no rule belongs into data.json", name, maxRego)
		}
		p.modules = append(p.modules, source{name, string(content)})
	case file == "data.json":
		return p.addData(strings.Trim(folder, "/"), name, content)
	case name == ".signatures.json":
		// The pack is bound by its digest; nobody checks these.
	default:
		return refused("%.200q: only .manifest, *.rego and data.json files are taken", name)
	}
	return nil
}

func (p *Pack) readManifest(content []byte) error {
	if _, err := bundle.Canonical(content); err != nil {
		return refused(".manifest: %v", err)
	}
	var m manifest
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return refused(".manifest: %v", err)
	}
	switch {
	case m.Revision == "":
		return refused(`.manifest: "revision" is empty; it is the pack's version`)
	case len(m.Revision) > maxRevision || strings.ContainsFunc(m.Revision, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return refused(`.manifest: "revision" is longer than %d bytes or has control characters`, maxRevision)
	case m.RegoVersion != nil && *m.RegoVersion != 1 || len(m.FileVersions) > 0:
		return refused(`.manifest: "rego_version" must be 1, for all files`)
	case len(m.Wasm) > 0:
		return refused(`.manifest: "wasm" modules are not taken`)
	}
	p.Revision = m.Revision
	return nil
}

// addData puts a document at the place its folder names; two documents may not
// say the same member.
func (p *Pack) addData(folder, name string, content []byte) error {
	canonical, err := bundle.Canonical(content)
	if err != nil {
		return refused("%s: %v", name, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(canonical))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return refused("%s: %v", name, err)
	}
	if folder != "" {
		steps := strings.Split(folder, "/")
		for _, step := range slices.Backward(steps) {
			document = map[string]any{step: document}
		}
	}
	members, ok := document.(map[string]any)
	if !ok {
		return refused("%s: data at the top must be an object", name)
	}
	return merge(p.data, members, name)
}

func merge(into, from map[string]any, name string) error {
	for key, value := range from {
		old, taken := into[key]
		if !taken {
			into[key] = value
			continue
		}
		left, isLeft := old.(map[string]any)
		right, isRight := value.(map[string]any)
		if !isLeft || !isRight {
			return refused("%s: another data.json has %.80q too", name, key)
		}
		if err := merge(left, right, name); err != nil {
			return err
		}
	}
	return nil
}

// unpack reads the archive's files by name, without a leading "/" or "./".
func unpack(raw []byte) (map[string][]byte, error) {
	if len(raw) > MaxPack {
		return nil, refused("it has %d bytes, at most %d are taken", len(raw), MaxPack)
	}
	zipped, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, refused("it is not a .tar.gz file: %v", err)
	}
	archive := tar.NewReader(io.LimitReader(zipped, 2*maxUnpacked))
	files, left := map[string][]byte{}, int64(maxUnpacked)
	for entries := 0; ; entries++ {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return files, drain(zipped)
		case err != nil:
			return nil, refused("it is not a whole tar archive: %v", err)
		case entries == maxFiles:
			return nil, refused("it has more than %d entries", maxFiles)
		case header.Typeflag == tar.TypeDir:
			continue
		case header.Typeflag != tar.TypeReg:
			return nil, refused("entry %.200q is neither a file nor a directory", header.Name)
		}
		name, err := entryName(header.Name)
		if err != nil {
			return nil, err
		}
		if _, twice := files[name]; twice {
			return nil, refused("entry %q is there twice", name)
		}
		if header.Size > left {
			return nil, refused("its files have more than %d bytes", maxUnpacked)
		}
		left -= header.Size
		if files[name], err = io.ReadAll(archive); err != nil {
			return nil, refused("entry %q: %v", name, err)
		}
	}
}

// drain reads what is behind the archive's end, so that the checksum of gzip is
// compared; more than padding is refused.
func drain(zipped io.Reader) error {
	rest, err := io.ReadAll(io.LimitReader(zipped, 64<<10))
	if err != nil {
		return refused("it is not whole: %v", err)
	}
	if len(rest) == 64<<10 || bytes.ContainsFunc(rest, func(r rune) bool { return r != 0 }) {
		return refused("data after the end of its archive")
	}
	return nil
}

func entryName(name string) (string, error) {
	clean := strings.TrimPrefix(strings.TrimPrefix(name, "."), "/")
	if strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "./") {
		clean = name // .manifest
	}
	if err := bundle.CheckPath(clean); err != nil || len(clean) > maxName {
		return "", refused("entry %.200q: a path is made of letters, digits, \".\", \"_\", \"-\" and \"/\", without \"..\", at most %d bytes", name, maxName)
	}
	return clean, nil
}

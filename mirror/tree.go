package mirror

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"sync"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/delta"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// tree is a directory whose files are the entries of a bundle: unpacked, and readable
// as the archive that it was. It holds the outline of what the manifest lists in
// memory; of originals, of which there may be a million, only which index has which.
type tree struct {
	dir       string
	manifest  bundle.Manifest
	digest    bundle.Digest            // of the manifest
	listed    map[string]bundle.Digest // by checksums.txt
	members   []bundle.Member
	originals map[string]bundle.Content // index of a segment, by the path of its first original
	counts    map[string]int64          // of originals, by directory

	mu   sync.Mutex
	open []*segment // the last used first
}

// openTree reads the outline of a tree. It checks nothing but that its manifest is
// signed by a trusted key: how much its files may hold is nobody else's word.
func openTree(dir string, trust verify.Trust) (*tree, error) {
	t := &tree{dir: dir, originals: map[string]bundle.Content{}, counts: map[string]int64{}, listed: map[string]bundle.Digest{}}
	text, err := t.document(bundle.ManifestPath)
	if err != nil {
		return nil, err
	}
	envelope, err := t.document(bundle.ManifestEnvelopePath)
	if err != nil {
		return nil, err
	}
	if t.manifest, err = verify.SignedManifest(text, envelope, trust); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	t.digest = bundle.DigestOf(text)
	if text, err = t.document(bundle.ChecksumsPath); err != nil {
		return nil, err
	}
	listed, err := bundle.ParseChecksums(text)
	if err != nil {
		return nil, refuse(ReasonContent, "%s: %w", dir, err)
	}
	for _, l := range listed {
		t.listed[l.Path] = l.Digest
	}
	return t, t.outline(listed)
}

// outline lists the members of the archive that the tree is.
func (t *tree) outline(listed []bundle.Listed) error {
	for _, l := range append(listed, bundle.Listed{Path: bundle.ChecksumsPath}, bundle.Listed{Path: bundle.SealPath}) {
		info, err := os.Lstat(t.path(l.Path))
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is no regular file", l.Path)
		}
		if err != nil {
			return absent(t.dir, l.Path, err)
		}
		t.members = append(t.members, bundle.Member{Path: l.Path, Size: info.Size(), Digest: l.Digest})
	}
	for _, c := range originalsOf(t.manifest) {
		if err := t.outlineOriginals(c); err != nil {
			return err
		}
	}
	sort.Slice(t.members, func(i, j int) bool { return bundle.PathBefore(t.members[i].Path, t.members[j].Path) })
	return nil
}

// outlineOriginals makes one member of all originals that an index lists.
func (t *tree) outlineOriginals(c bundle.Content) error {
	list := delta.NewOriginals(t.files([]bundle.Content{c}))
	defer list.Close() //nolint:errcheck // it was read
	m := bundle.Member{Entries: true}
	for {
		o, err := list.Next()
		if err != nil {
			return unlisted(err)
		}
		if o == nil {
			break
		}
		if m.Path == "" {
			m.Path = o.Path
		}
		m.Size += bundle.EntrySize(o.Bytes)
		if t.counts[path.Dir(o.Path)]++; len(t.counts) > maxKinds {
			return refuse(ReasonContent, "%s lists originals of more than %d kinds", t.path(c.Path), maxKinds)
		}
	}
	t.originals[m.Path] = c
	t.members = append(t.members, m)
	return nil
}

// maxKinds is more than the kinds of evidence that there are.
const maxKinds = 100

// unlisted gives the error of a list of originals its reason: it is not of its form,
// unless something else was the matter.
func unlisted(err error) error {
	if errors.As(err, new(*Error)) {
		return err
	}
	return refuse(ReasonContent, "%w", err)
}

// view is the archive that the tree is.
func (t *tree) view() (*bundle.View, error) { return bundle.NewView(t.members, t.source) }

func (t *tree) source(m bundle.Member) (bundle.Source, error) {
	if m.Entries {
		return t.segment(m.Path)
	}
	file, _, err := openRegular(t.path(m.Path))
	if err != nil {
		return nil, absent(t.dir, m.Path, err)
	}
	return file, nil
}

// has reports whether checksums.txt lists an entry.
func (t *tree) has(entry string) bool {
	_, there := t.listed[entry]
	return there
}

// path is where an entry's file is.
func (t *tree) path(entry string) string { return filepath.Join(t.dir, filepath.FromSlash(entry)) }

// document reads a small entry.
func (t *tree) document(entry string) ([]byte, error) {
	text, err := readBounded(t.path(entry), bundle.MaxDocumentBytes)
	if err != nil {
		return nil, absent(t.dir, entry, err)
	}
	return text, nil
}

// absent says of an entry that could not be read whether it is there.
func absent(dir, entry string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(ReasonMirror, "%s: %s is not there: %w", dir, entry, err)
	}
	return refuse(ReasonOther, "%s: %s: %w", dir, entry, full(err))
}

// files reads the lines of payload files.
func (t *tree) files(of []bundle.Content) *delta.Files {
	return delta.NewFiles(func(i int) string { return t.path(of[i].Path) }, func(i int) (io.ReadCloser, error) {
		if i >= len(of) {
			return nil, io.EOF
		}
		file, _, err := openRegular(t.path(of[i].Path))
		if err != nil {
			return nil, absent(t.dir, of[i].Path, err)
		}
		return openLines(t.path(of[i].Path), file, of[i])
	})
}

// strays refuses a tree that has files that its archive has not.
func (t *tree) strays() error {
	entries := map[string]bool{}
	for _, m := range t.members {
		entries[m.Path] = true
	}
	if info, err := os.Lstat(t.dir); err != nil || !info.IsDir() {
		return errors.Join(err, spoilt("%s is no directory", t.dir))
	}
	found := map[string]int64{}
	err := filepath.WalkDir(t.dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || file == t.dir {
			return err
		}
		relative, err := filepath.Rel(t.dir, file)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(relative)
		switch {
		case entry.IsDir() && t.counts[name] > 0:
			if found[name], err = countFiles(file); err != nil {
				return err
			}
			return fs.SkipDir
		case entry.IsDir():
			return nil
		case !entry.Type().IsRegular() || !entries[name]:
			return refuse(ReasonContent, "%s: %s is no entry of the mirror; remove it", t.dir, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for dir, n := range t.counts {
		if found[dir] != n {
			return refuse(ReasonContent, "%s: %s has %d files, and the mirror has %d originals there", t.dir, dir, found[dir], n)
		}
	}
	return nil
}

// countFiles counts what is in a directory, some at a time: regular files only.
func countFiles(dir string) (n int64, err error) {
	open, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer open.Close()
	for {
		some, err := open.ReadDir(1024)
		for _, entry := range some {
			if !entry.Type().IsRegular() {
				return n, spoilt("%s is no regular file", filepath.Join(dir, entry.Name()))
			}
		}
		n += int64(len(some))
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// originalsOf are the payload files that list a bundle's originals, in order.
func originalsOf(m bundle.Manifest) []bundle.Content {
	return inOrder(m, func(c bundle.Content) bool { return bundle.IsOriginalsIndex(c.Path) })
}

// inOrder are the payload files of a manifest that are wanted, in the run's order.
func inOrder(m bundle.Manifest, wanted func(bundle.Content) bool) (found []bundle.Content) {
	for _, c := range m.Contents {
		if wanted(c) {
			found = append(found, c)
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Order < found[j].Order })
	return found
}

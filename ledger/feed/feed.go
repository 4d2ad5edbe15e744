// Package feed turns what people pass on a command line into ledger entries,
// one at a time: .json files (one document), .jsonl files (one document per
// line, also .jsonl.zst), archives of these (.zip, .tar, .tar.gz, .tgz,
// .tar.zst), directories of all of these, and standard input.
//
// Nothing that is wrong with one file, member or line stops the rest: it
// becomes a rejection with file, entry and reason. Archives are hostile until
// proven: entries, sizes, expansion and nesting are bounded, names are labels,
// links and devices are refused. Memory is bounded by one document, whatever a
// file claims or decompresses to.
package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/stella-ops/exportcenter/ledger"
)

// Reader reads paths and hands on what it finds, in order.
type Reader struct {
	// Source of the documents; "" leaves it to their format.
	Source string
	// Stream of the documents; "" takes the archive's name without its
	// extensions, or for a .json file the name of its top folder (ruling 1).
	Stream string
	// Stdin is what the path "-" reads; nil = there is none.
	Stdin io.Reader
	// Entry takes a document. Its bytes are the callee's to keep.
	Entry func(ledger.Entry) error
	// Reject takes a file or line that is not a document.
	Reject func(ledger.Rejection) error
	// Large, if set, is asked before more than LargeDocument bytes of one
	// document are held. It may wait; its error ends the reading.
	Large func() error
}

// LargeDocument is what documents have that Large is asked for, in bytes.
const LargeDocument = 4 << 20

// file is one file to read and how to open it.
type file struct {
	shown  string // path for messages
	folder string // name of its top folder
	size   int64
	open   func() (fs.File, error)
}

// Read reads paths in the order given. It returns only the errors of Entry,
// Reject and ctx.
func (r Reader) Read(ctx context.Context, paths ...string) error {
	for _, path := range paths {
		if path == Stdin {
			if err := r.readStdin(ctx); err != nil {
				return err
			}
			continue
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			err = r.reject(path, "", cause(err))
		case info.IsDir():
			err = r.readDir(ctx, path)
		case !info.Mode().IsRegular():
			err = r.reject(path, "", "neither a file nor a directory")
		default:
			err = r.readFile(ctx, file{
				shown: path, folder: folderName(filepath.Dir(path)), size: info.Size(),
				open: func() (fs.File, error) { return os.Open(path) },
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readDir reads a directory's files, sorted by path, hidden ones left out.
// Symbolic links are followed to files inside the directory only: os.Root
// refuses the others, also when the tree changes under our feet.
func (r Reader) readDir(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return r.reject(dir, "", cause(err))
	}
	defer root.Close() //nolint:errcheck // only read from
	folder := folderName(dir)
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		shown := filepath.Join(dir, filepath.FromSlash(name))
		if err != nil {
			if rejectErr := r.reject(shown, "", cause(err)); rejectErr != nil {
				return rejectErr
			}
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if hidden := name != "." && strings.HasPrefix(d.Name(), "."); hidden {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return ctx.Err()
		}
		return r.readInside(ctx, root, name, shown, folder)
	})
}

func (r Reader) readInside(ctx context.Context, root *os.Root, name, shown, folder string) error {
	info, err := root.Stat(name)
	switch {
	case err != nil:
		return r.reject(shown, "", cause(err))
	case info.IsDir(): // by a link; the folder itself is walked, unless it is hidden
		if underHidden(root.Name(), shown) {
			return r.reject(shown, "", "a link to a hidden folder, which is not read; name the folder itself")
		}
		return nil
	case !info.Mode().IsRegular():
		return r.reject(shown, "", "neither a file nor a directory")
	}
	return r.readFile(ctx, file{
		shown: shown, folder: folder, size: info.Size(),
		open: func() (fs.File, error) { return root.Open(name) },
	})
}

// underHidden reports whether the link at path leads into a folder below dir
// that the walk leaves out.
func underHidden(dir, path string) bool {
	top, err1 := filepath.EvalSymlinks(dir)
	target, err2 := filepath.EvalSymlinks(path)
	inside, err3 := filepath.Rel(top, target)
	if err1 != nil || err2 != nil || err3 != nil {
		return true // it cannot be told, so it is not left out in silence
	}
	for _, name := range strings.Split(filepath.ToSlash(inside), "/") {
		if strings.HasPrefix(name, ".") && name != "." {
			return true
		}
	}
	return false
}

func (r Reader) readFile(ctx context.Context, f file) error {
	base := filepath.Base(f.shown)
	read, end := r.readerOf(strings.ToLower(base))
	if read == nil {
		return r.reject(f.shown, "", notEvidence(strings.ToLower(base), "not a .json, .jsonl, .jsonl.zst, .zip, .tar, .tar.gz, .tgz or .tar.zst file"))
	}
	stream := base[:len(base)-len(end)]
	if end == ".json" {
		stream = f.folder
	}
	if r.Stream != "" {
		stream = r.Stream
	}
	opened, err := f.open()
	if err != nil {
		return r.reject(f.shown, "", cause(err))
	}
	defer opened.Close() //nolint:errcheck // only read from
	return read(ctx, f, ledger.CleanName(stream, "default"), opened)
}

// readerOf chooses how a file is read, by the end of its name.
func (r Reader) readerOf(lower string) (read func(context.Context, file, string, fs.File) error, end string) {
	for _, known := range []struct {
		end  string
		read func(context.Context, file, string, fs.File) error
	}{
		{".json", r.readDocument}, {".jsonl", r.readLines}, {".jsonl.zst", r.readCompressed}, {".zip", r.readZip},
		{".tar", r.readTarFile("")}, {".tar.gz", r.readTarFile("gz")}, {".tgz", r.readTarFile("gz")}, {".tar.zst", r.readTarFile("zst")},
	} {
		if strings.HasSuffix(lower, known.end) {
			return known.read, known.end
		}
	}
	return nil, ""
}

func (r Reader) reject(path, entry, reason string) error {
	return r.Reject(ledger.Rejection{File: path, Entry: entry, Reason: reason})
}

// folderName is the name of the folder dir, also when it is written ".".
func folderName(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	return filepath.Base(abs)
}

// cause is an error's text without the path, which the rejection names.
func cause(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return fmt.Sprintf("cannot be read: %v", pathErr.Err)
	}
	return fmt.Sprintf("cannot be read: %v", err)
}

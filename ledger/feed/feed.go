// Package feed turns what people pass on a command line into ledger entries,
// one at a time: .json files (one document), .jsonl files (one document per
// line), .jsonl.zst archives, and directories of these.
//
// Nothing that is wrong with one file or line stops the rest: it becomes a
// rejection with file, entry and reason. Memory is bounded by one document,
// whatever a file claims or decompresses to.
package feed

import (
	"context"
	"errors"
	"fmt"
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
	// Entry takes a document. Its bytes are the callee's to keep.
	Entry func(ledger.Entry) error
	// Reject takes a file or line that is not a document.
	Reject func(ledger.Rejection) error
}

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
	var read func(context.Context, file, string, fs.File) error
	stream := f.folder
	switch {
	case strings.HasSuffix(base, ".json"):
		read = r.readDocument
	case strings.HasSuffix(base, ".jsonl"):
		read, stream = r.readLines, strings.TrimSuffix(base, ".jsonl")
	case strings.HasSuffix(base, ".jsonl.zst"):
		read, stream = r.readCompressed, strings.TrimSuffix(base, ".jsonl.zst")
	default:
		return r.reject(f.shown, "", "not a .json, .jsonl or .jsonl.zst file")
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

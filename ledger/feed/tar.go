package feed

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/stella-ops/exportcenter/ledger"
)

// readTarFile reads a tar archive, compressed as packing says.
func (r Reader) readTarFile(packing string) func(context.Context, file, string, fs.File) error {
	return func(ctx context.Context, f file, stream string, src fs.File) error {
		unpacked, done, err := unpack(packing, src)
		if err != nil {
			return r.reject(f.shown, "", cause(err))
		}
		defer done()
		return r.readTar(ctx, f, stream, unpacked)
	}
}

// ReadTar reads a plain tar archive as it comes, by the rules of a .tar file;
// shown is its name in messages. It returns what Read returns.
func (r Reader) ReadTar(ctx context.Context, shown string, src io.Reader) error {
	plain, _, _ := unpack("", src)
	return r.readTar(ctx, file{shown: shown}, ledger.CleanName(r.Stream, ledger.DefaultStream), plain)
}

// readTar reads a tar archive as it comes.
func (r Reader) readTar(ctx context.Context, f file, stream string, src *meter) error {
	in := tar.NewReader(struct{ io.Reader }{src}) // not to be searched in, only read
	last := "the beginning"
	for count := 1; ; count++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		header, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return r.endTar(f, last, src)
		case err != nil:
			return r.reject(f.shown, "after "+last, cause(err))
		case count > maxEntries:
			return r.reject(f.shown, "after "+last, fmt.Sprintf("has more than %d entries; it is not read further", maxEntries))
		}
		last = label(header.Name)
		if err := r.tarMember(ctx, f, stream, header, in); err != nil {
			return err
		}
		if src.failed() {
			return nil // and the member was rejected for it
		}
	}
}

func (r Reader) tarMember(ctx context.Context, f file, stream string, header *tar.Header, in io.Reader) error {
	if hidden(header.Name) || header.Typeflag == tar.TypeDir || header.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if reason := unwanted(header); reason != "" {
		return r.reject(f.shown, label(header.Name), reason)
	}
	return r.readMember(ctx, f, stream, archived{name: header.Name, size: header.Size, src: in})
}

// unwanted is why a member is not read, "" for a plain file.
func unwanted(header *tar.Header) string {
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return "a sparse file is not read"
		}
	}
	switch header.Typeflag {
	case tar.TypeReg:
		return ""
	case tar.TypeLink, tar.TypeSymlink:
		return "a link in an archive is not followed"
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return "a device or pipe, not a file"
	case tar.TypeGNUSparse:
		return "a sparse file is not read"
	}
	return fmt.Sprintf("a member of type %q is not read", header.Typeflag)
}

// endTar looks whether the archive is whole: it ends with zero blocks, and what
// follows them agrees with the checksums of the compression.
func (r Reader) endTar(f file, last string, src *meter) error {
	marked := src.zeros >= 512
	_, err := io.Copy(io.Discard, src)
	switch {
	case err != nil:
		return r.reject(f.shown, "after "+last, cause(err))
	case !marked:
		return r.reject(f.shown, "after "+last, "ends without the mark at the end of an archive; it may be cut off")
	}
	return nil
}

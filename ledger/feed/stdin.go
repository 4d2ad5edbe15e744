package feed

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"

	"github.com/stella-ops/exportcenter/ledger"
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// readStdin reads standard input: by its first bytes a tar archive, plain or
// compressed, one document, or one document per line.
func (r Reader) readStdin(ctx context.Context) error {
	f := file{shown: Stdin}
	if r.Stdin == nil {
		return r.reject(Stdin, "", "there is no standard input")
	}
	in := bufio.NewReaderSize(&interruptible{ctx, r.Stdin}, 64<<10)
	stream := ledger.CleanName(r.Stream, ledger.DefaultStream)
	packing := ""
	switch head, _ := in.Peek(4); {
	case bytes.HasPrefix(head, []byte("PK")):
		return r.reject(Stdin, "", "a zip archive has its index at its end; save it to a file and pass that")
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		packing = "gz"
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		packing = "zst"
	}
	src, done, err := unpack(packing, in)
	if err != nil {
		return r.reject(Stdin, "", cause(err))
	}
	defer done()
	plain := bufio.NewReaderSize(src, 64<<10)
	if head, _ := plain.Peek(262); len(head) == 262 && string(head[257:]) == "ustar" {
		inner, _, _ := unpack("", plain)
		err = r.readTar(ctx, f, stream, inner)
	} else {
		err = r.readText(ctx, f, stream, plain)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// readText reads one document, or lines when the first one looks like a whole
// document. Bytes are kept as they are.
func (r Reader) readText(ctx context.Context, f file, stream string, in *bufio.Reader) error {
	first, tooLong, err := rawLine(in, true, nil)
	if tooLong {
		return r.reject(f.shown, "", "begins with more than a document may have")
	}
	all := io.MultiReader(bytes.NewReader(first), in)
	text := bytes.TrimSpace(first)
	if err == nil && len(text) > 0 && !json.Valid(text) && text[len(text)-1] != '}' {
		raw, err := readBounded(all, 0)
		if err != nil {
			return r.reject(f.shown, "", cause(err))
		}
		return r.entry(f, stream, "", raw)
	}
	return r.lines(ctx, f, stream, "", all)
}

// interruptible gives up waiting for bytes when ctx ends; the read that was
// under way is left behind, with a buffer of its own.
type interruptible struct {
	ctx context.Context
	src io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		buffer := make([]byte, len(p))
		n, err := i.src.Read(buffer)
		done <- result{buffer[:n], err}
	}()
	select {
	case <-i.ctx.Done():
		return 0, i.ctx.Err()
	case r := <-done:
		return copy(p, r.data), r.err
	}
}

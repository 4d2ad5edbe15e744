package bundle

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"
)

// A layer is a gzip stream of one member with an empty header, over a tar
// archive of exactly two entries in the one form of Header: metadata.json, then
// the database. Its bytes are covered by a signed digest, so a verifier never
// compresses again; the manifest names what did (ARCHITECTURE D3).
const (
	layerMetadata = "metadata.json"
	// maxLayerMetadata is far more than Trivy's four members take.
	maxLayerMetadata = 64 << 10
	// layerEncoder must name the version in go.mod; a test compares them.
	layerEncoder = "github.com/klauspost/compress/gzip@v1.20.3"
)

// ErrLayer is wrapped when a layer is not of its one form.
var ErrLayer = errors.New("not a layer of metadata.json and a database")

// Layer is what a layer holds besides the database's bytes.
type Layer struct {
	Metadata []byte
	Name     string // of the database
	// Content and Size are the database's digest and length.
	Content Digest
	Size    int64
}

// WriteLayer writes a layer to w: metadata, and size bytes of database under name.
func WriteLayer(w io.Writer, metadata []byte, name string, database io.Reader, size int64) (Layer, error) {
	if len(metadata) > maxLayerMetadata {
		return Layer{}, fmt.Errorf("%s has %d bytes, at most %d are allowed", layerMetadata, len(metadata), maxLayerMetadata)
	}
	packed, err := gzip.NewWriterLevel(w, gzip.DefaultCompression)
	if err != nil {
		return Layer{}, fmt.Errorf("gzip: %w", err)
	}
	packed.ModTime = time.Unix(0, 0) // else it writes what the zero time gives
	content := sha256.New()
	for _, entry := range []struct {
		name string
		size int64
		from io.Reader
	}{
		{layerMetadata, int64(len(metadata)), bytes.NewReader(metadata)},
		{name, size, io.TeeReader(database, content)},
	} {
		if err := writeEntry(packed, entry.name, entry.size, entry.from); err != nil {
			return Layer{}, fmt.Errorf("layer entry %s: %w", entry.name, err)
		}
	}
	if _, err := packed.Write(make([]byte, TrailerSize)); err != nil {
		return Layer{}, fmt.Errorf("end layer: %w", err)
	}
	if err := packed.Close(); err != nil {
		return Layer{}, fmt.Errorf("end layer: %w", err)
	}
	return Layer{Metadata: metadata, Name: name, Content: Digest(content.Sum(nil)), Size: size}, nil
}

// writeEntry writes header, exactly size bytes of from, and padding.
func writeEntry(w io.Writer, name string, size int64, from io.Reader) error {
	header, err := Header(name, size)
	if err != nil {
		return err
	}
	if _, err := w.Write(header[:]); err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(from, size+1))
	if err == nil && n != size {
		err = fmt.Errorf("has other than %d bytes", size)
	}
	if err != nil {
		return err
	}
	_, err = w.Write(make([]byte, padding(size)))
	return err
}

// ReadLayer reads a layer to its end and gives the database's bytes to w as they
// come; of a database longer than limit nothing beyond it. Any other form is an
// error that wraps ErrLayer. Memory stays below 200 KiB.
func ReadLayer(r io.Reader, limit int64, w io.Writer) (Layer, error) {
	stored := bufio.NewReaderSize(r, 64<<10) // a ByteReader: gzip then reads not a byte too much
	packed, err := gzip.NewReader(stored)
	if err != nil {
		return Layer{}, fmt.Errorf("%w: gzip: %w", ErrLayer, err)
	}
	packed.Multistream(false)
	if h := packed.Header; h.Name != "" || h.Comment != "" || len(h.Extra) > 0 || h.ModTime.Unix() > 0 {
		return Layer{}, fmt.Errorf("%w: its gzip header is not empty", ErrLayer)
	}
	layer, err := readLayer(packed, limit, w)
	if err != nil {
		return Layer{}, err
	}
	if _, err := stored.ReadByte(); err == nil {
		return Layer{}, fmt.Errorf("%w: bytes follow its gzip stream", ErrLayer)
	} else if !errors.Is(err, io.EOF) {
		return Layer{}, err
	}
	return layer, nil
}

func readLayer(r io.Reader, limit int64, w io.Writer) (Layer, error) {
	var metadata bytes.Buffer
	name, _, err := readLayerEntry(r, maxLayerMetadata, &metadata)
	if err != nil {
		return Layer{}, err
	}
	if name != layerMetadata {
		return Layer{}, fmt.Errorf("%w: its first entry is %.100q, not %s", ErrLayer, name, layerMetadata)
	}
	content := sha256.New()
	name, size, err := readLayerEntry(r, limit, io.MultiWriter(content, w))
	if err != nil {
		return Layer{}, err
	}
	if err := readLayerEnd(r); err != nil {
		return Layer{}, fmt.Errorf("%w: behind %.100q come not two zero blocks and the end: %w", ErrLayer, name, err)
	}
	return Layer{Metadata: metadata.Bytes(), Name: name, Content: Digest(content.Sum(nil)), Size: size}, nil
}

// readLayerEnd wants the trailer and then io.EOF, which gzip gives only after its
// checksum was right.
func readLayerEnd(r io.Reader) error {
	var trailer [TrailerSize]byte
	if _, err := io.ReadFull(r, trailer[:]); err != nil {
		return err
	}
	if !isZero(trailer[:]) {
		return errors.New("they are not zero")
	}
	n, err := io.ReadFull(r, trailer[:1])
	switch {
	case n > 0:
		return errors.New("more follows")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

func readLayerEntry(r io.Reader, limit int64, w io.Writer) (name string, size int64, err error) {
	var header [BlockSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return "", 0, fmt.Errorf("%w: header: %w", ErrLayer, err)
	}
	if name, size, err = ParseHeader(header); err != nil {
		return "", 0, fmt.Errorf("%w: %w", ErrLayer, err)
	}
	if size > limit {
		return "", 0, fmt.Errorf("%w: %.100q has %d bytes, at most %d are expected", ErrLayer, name, size, limit)
	}
	if _, err := io.CopyN(w, r, size); err != nil {
		return "", 0, fmt.Errorf("%w: %.100q ends early: %w", ErrLayer, name, err)
	}
	pad := make([]byte, padding(size))
	if _, err := io.ReadFull(r, pad); err != nil || !isZero(pad) {
		return "", 0, fmt.Errorf("%w: the padding of %.100q is not zero bytes", ErrLayer, name)
	}
	return name, size, nil
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

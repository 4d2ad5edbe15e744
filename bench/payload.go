package main

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// openPayload opens an archive for its payload lines.
func openPayload(path string) (*payloadLines, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &payloadLines{file: file, archive: tar.NewReader(bufio.NewReaderSize(file, 1<<20))}, nil
}

func (p *payloadLines) close() { p.file.Close() } //nolint:errcheck // only read

// payloadLines reads the payload lines of an archive (pgx.CopyFromSource).
type payloadLines struct {
	file    *os.File
	archive *tar.Reader
	packed  *zstd.Decoder
	lines   *bufio.Reader // nil between two files
	n       int64
	bytes   int64 // of all lines so far, line ends included
	line    string
	err     error
}

func (p *payloadLines) Next() bool {
	for {
		if p.lines == nil && !p.nextFile() {
			return false
		}
		line, err := p.lines.ReadString('\n')
		if err == nil {
			p.n++
			p.bytes += int64(len(line))
			p.line = strings.TrimSuffix(line, "\n")
			return true
		}
		p.packed.Close()
		if p.lines = nil; !errors.Is(err, io.EOF) || line != "" {
			p.err = fmt.Errorf("read payload: %w", err)
			return false
		}
	}
}

func (p *payloadLines) nextFile() bool {
	for {
		header, err := p.archive.Next()
		if errors.Is(err, io.EOF) {
			return false
		}
		if err != nil {
			p.err = err
			return false
		}
		if !strings.HasPrefix(header.Name, "data/raw/") {
			continue
		}
		if p.packed, p.err = zstd.NewReader(p.archive); p.err != nil {
			return false
		}
		p.lines = bufio.NewReaderSize(p.packed, 1<<20)
		return true
	}
}

// Line is the one that Next found, without its end.
func (p *payloadLines) Line() string { return p.line }

func (p *payloadLines) Values() ([]any, error) { return []any{p.n, p.line}, nil }
func (p *payloadLines) Err() error             { return p.err }

package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/stella-ops/exportcenter/client"
)

const (
	// largeBundle is how many bytes the bundle has that many download at once, at least.
	largeBundle = 1_000_000_000
	// largeDocument is how many characters an SBOM of it has beside its names.
	largeDocument = 60 << 20
	// largeValue is how many characters one of its properties has.
	largeValue = 64 << 10
)

// large makes a run of SBOMs that zstd leaves as they are, and fetches its bundle: what
// downloads cost is then the cost of their bytes.
func (b *bench) large(ctx context.Context) error {
	token, err := b.house.token(ctx, "large")
	if err != nil {
		return err
	}
	path := filepath.Join(b.dir, "large.jsonl")
	const count = largeBundle/largeDocument + 1
	if err := writeLarge(path, count, rand.NewPCG(b.seed, b.seed)); err != nil {
		return err
	}
	if _, _, err := b.importFile(ctx, token, path, count); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	run, err := b.export(ctx, token, client.Selectors{}, count)
	if err != nil {
		return err
	}
	archive := filepath.Join(b.dir, "large.tar")
	if _, _, err := b.house.stella(ctx, token, "export", "download", run.id, "--output", archive); err != nil {
		return err
	}
	return b.downloadsOf(ctx, "16 downloads at once, 1 GB", run.id, archive, token)
}

// writeLarge writes count SBOMs, one per line.
func writeLarge(path string, count int, chance rand.Source) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(file, 1<<20)
	value, text := make([]byte, largeValue*3/4), make([]byte, largeValue)
	for n := range count {
		fmt.Fprintf(out, `{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"metadata":{"component":{"type":"container","name":"large-%d","version":"1"}},"components":[{"type":"file","name":"filling","version":"1","properties":[`, n)
		for i := range largeDocument / largeValue {
			fill(value, chance)
			base64.StdEncoding.Encode(text, value)
			if i > 0 {
				out.WriteByte(',') //nolint:errcheck // Flush tells
			}
			fmt.Fprintf(out, `{"name":"bench:filling","value":"%s"}`, text)
		}
		out.WriteString("]}]}\n") //nolint:errcheck // Flush tells
	}
	return errors.Join(out.Flush(), file.Close())
}

func fill(p []byte, chance rand.Source) {
	for i := 0; i+8 <= len(p); i += 8 {
		n := chance.Uint64()
		for j := range 8 {
			p[i+j] = byte(n >> (8 * j))
		}
	}
}

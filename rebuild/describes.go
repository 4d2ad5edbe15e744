package rebuild

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/stella-ops/exportcenter/bundle"
)

// maxDescribing bounds what describes a bundle and is read whole, bytes.
const maxDescribing = 16 << 20

// describesTheSame reports whether an entry that differs, and is no payload, does so only
// in what follows from the programs that wrote the two bundles, as their manifests tell.
func (p pair) describesTheSame(ctx context.Context, recorded, again bundle.Manifest) (bool, error) {
	switch rank(p) {
	case rankManifest:
		return true, nil // compared by itself
	case rankSignature, rankChecksums:
		return true, nil // they follow from all the others
	}
	if p.recorded == nil || p.again == nil {
		return false, nil
	}
	var plain [2][]byte
	for i, side := range []struct {
		*Entry
		of bundle.Manifest
	}{{p.recorded, recorded}, {p.again, again}} {
		raw, err := side.whole(ctx)
		if err != nil || raw == nil {
			return false, err
		}
		switch side.Path {
		case bundle.ReadmePath:
			plain[i] = withoutSizes(raw, side.of)
		case bundle.ProvenancePath:
			if plain[i], err = withoutBuilder(raw); err != nil {
				return false, err
			}
		default:
			plain[i] = raw
		}
	}
	return bytes.Equal(plain[0], plain[1]), nil
}

// withoutSizes leaves out of a README what another encoder changes.
func withoutSizes(readme []byte, m bundle.Manifest) []byte {
	for _, text := range []string{m.PayloadDigest.String(), fmt.Sprintf("| payload bytes, compressed | %d |", m.Counts.Bytes)} {
		readme = bytes.ReplaceAll(readme, []byte(text), nil)
	}
	return readme
}

// withoutBuilder leaves out of a provenance the versions of the programs and the digests
// of what they wrote.
func withoutBuilder(raw []byte) ([]byte, error) {
	p, err := bundle.ParseProvenance(raw)
	if err != nil {
		return nil, fmt.Errorf("compare provenance: %w", err)
	}
	for i := range p.Subject {
		p.Subject[i].Digest = bundle.ResourceDigest{}
	}
	p.Predicate.RunDetails.Builder.Version = nil
	return bundle.MarshalCanonical(p)
}

// whole reads a small entry; nil where its bytes are gone or too many.
func (e *Entry) whole(ctx context.Context) ([]byte, error) {
	if e.Open == nil || e.Size > maxDescribing {
		return nil, nil
	}
	r, err := e.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxDescribing+1))
	if raw == nil {
		raw = []byte{}
	}
	return raw, err
}

package tuf_test

import (
	"bytes"
	"testing"

	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/tuf"
)

// What is read is what would be written, for every role.
func FuzzParse(f *testing.F) {
	for _, algorithm := range []signing.Algorithm{signing.ECDSAP256, signing.Ed25519} {
		w := newWorld(f, algorithm)
		for _, document := range documents(&w.set) {
			f.Add(*document)
		}
	}
	f.Add([]byte(`{"signatures":[],"signed":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		root, err := tuf.Parse[tuf.Root](raw)
		same(t, raw, root.Raw, err)
		if err == nil {
			if _, err := tuf.Encode(root.Signed, root.Signatures...); err != nil {
				t.Fatal(err)
			}
		}
		targets, err := tuf.Parse[tuf.Targets](raw)
		same(t, raw, targets.Raw, err)
		snapshot, err := tuf.Parse[tuf.Snapshot](raw)
		same(t, raw, snapshot.Raw, err)
		timestamp, err := tuf.Parse[tuf.Timestamp](raw)
		same(t, raw, timestamp.Raw, err)
	})
}

func same(t *testing.T, raw, written []byte, err error) {
	if err == nil && !bytes.Equal(raw, written) {
		t.Fatalf("accepted %q, which is written %q", raw, written)
	}
}

// Nobody without the keys finds another set that holds; and what holds a peer
// takes too.
func FuzzVerify(f *testing.F) {
	w := newWorld(f, signing.Ed25519)
	first := w.set.Roots[0]
	f.Add(w.set.Roots[1], w.set.Targets, w.set.Snapshot, w.set.Timestamp)
	f.Fuzz(func(t *testing.T, root, targets, snapshot, timestamp []byte) {
		set := tuf.Set{Roots: [][]byte{first, root}, Root: root, Targets: targets, Snapshot: snapshot, Timestamp: timestamp}
		if _, err := tuf.Verify(set, generation, w.files); err != nil {
			return
		}
		for name, document := range documents(&set) {
			if own := documents(&w.set)[name]; !bytes.Equal(*own, *document) {
				t.Fatalf("%s is another one: %q", name, *document)
			}
		}
	})
}

package main

import (
	"bytes"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/mirror/mirrortest"
)

// makeMirrors writes three full mirrors, the deltas between them, and deltas that do
// not fit: make-mirrors
func makeMirrors(ts *testscript.TestScript, neg bool, args []string) {
	w, ok := ts.Value(worldKey{}).(world)
	if neg || len(args) != 0 || !ok {
		ts.Fatalf("usage: make-mirrors")
	}
	document := func(id, text string) mirrortest.Document {
		return mirrortest.Document{Kind: ledger.KindAdvisory, ID: id, Subject: "pkg:npm/" + id, Original: text}
	}
	m := mirrortest.Maker{Signer: bundletest.Key(w.t, 1)}
	first := m.Full(w.t, 1, document("a", "1"), document("b", "1"))
	second := m.Full(w.t, 2, document("a", "2"), document("b", "1"))
	third := m.Full(w.t, 3, document("a", "2"), document("c", "1"))
	foreign := mirrortest.Maker{Signer: m.Signer, Tenant: "globex"}
	other := m.Full(w.t, 1, document("x", "1"))
	spoilt := m.Delta(w.t, first, second)
	spoilt.Archive = bytes.Replace(spoilt.Archive, []byte("advisories"), []byte("advisorieS"), 1)
	for name, bundle := range map[string]mirrortest.Mirror{
		"full1": first, "delta12": m.Delta(w.t, first, second), "delta23": m.Delta(w.t, second, third),
		"foreign": foreign.Delta(w.t, foreign.Full(w.t, 1, document("a", "1")), foreign.Full(w.t, 2)), "other": m.Delta(w.t, other, second), "spoilt": spoilt,
	} {
		require.NotEmpty(w.t, bundle.Archive)
		ts.Check(os.WriteFile(ts.MkAbs(name+".tar"), bundle.Archive, 0o600))
	}
}

package main

import (
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
)

// makeEncrypted writes a small encrypted bundle of each mode, plain ones within, and
// two identities, of which the first is a recipient's.
func makeEncrypted(ts *testscript.TestScript, neg bool, args []string) {
	w, ok := ts.Value(worldKey{}).(world)
	if neg || len(args) != 0 || !ok {
		ts.Fatalf("usage: make-encrypted")
	}
	write := func(name string, data []byte) { ts.Check(os.WriteFile(ts.MkAbs(name), data, 0o600)) }
	for _, mode := range []string{"age", "aes-gcm"} {
		plain, encrypted := bundletest.BuildEncrypted(w.t, bundletest.Options{Signer: bundletest.Key(w.t, 1)}, bundletest.Encrypting{Mode: mode})
		archive := encrypted.Bytes(w.t)
		write(mode+".tar", archive)
		write(mode+"-plain.tar", plain.Bytes(w.t))
		archive[520] ^= 1 // of the README
		write(mode+"-changed.tar", archive)
	}
	write("alice", []byte("# a comment\n"+bundletest.Identity(w.t, 0).String()+"\n"))
	write("mallory", []byte(bundletest.Identity(w.t, 1).String()+"\n"))
}

package sealed_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stella-ops/exportcenter/sealed"
)

// FuzzOpen: whatever stands in place of an encrypted file, it opens as what was
// sealed or not at all.
func FuzzOpen(f *testing.F) {
	alice := identity(f)
	plain := plaintext(200)
	files := map[sealed.Mode][]byte{}
	openers := map[sealed.Mode]*sealed.Opener{}
	for _, mode := range bothModes {
		s := sealer(f, mode, nil, recipientsOf(alice)...)
		files[mode] = encrypt(f, s, "data/x", plain)
		o, err := sealed.NewOpener(f.Context(), sealing(s), keysOf(alice))
		if err != nil {
			f.Fatal(err)
		}
		openers[mode] = o
		f.Add(mode == sealed.ModeAge, files[mode])
		f.Add(mode == sealed.ModeAge, files[mode][:100])
	}
	f.Add(true, []byte("age-encryption.org/v1\n-> scrypt AAAA 60\nAAAA\n--- AAAA\n"))
	f.Fuzz(func(t *testing.T, native bool, file []byte) {
		mode := sealed.ModeGCM
		if native {
			mode = sealed.ModeAge
		}
		r, n, err := openers[mode].Open("data/x", bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		got, err := io.ReadAll(io.NewSectionReader(r, 0, n))
		if err == nil && !bytes.Equal(file, files[mode]) {
			t.Fatalf("something else opens: %d bytes", len(got))
		}
	})
}

// FuzzRecipient: what is taken has one spelling.
func FuzzRecipient(f *testing.F) {
	f.Add(recipientsOf(identity(f))[0])
	f.Add("kms://keys/export")
	f.Add("AGE-SECRET-KEY-1")
	f.Fuzz(func(t *testing.T, text string) {
		if sealed.CheckRecipient(sealed.ModeGCM, text) != nil {
			return
		}
		if strings.ContainsAny(text, " \t\r\n") || len(text) > 300 || !strings.HasPrefix(text, "age1") && !sealed.IsKMS(text) {
			t.Fatalf("%q is no recipient", text)
		}
	})
}

// FuzzIdentities: nothing of a file that is refused is quoted.
func FuzzIdentities(f *testing.F) {
	f.Add("# created: 2026\n" + identity(f).String() + "\n")
	f.Add("age1x")
	f.Fuzz(func(t *testing.T, text string) {
		ids, err := sealed.ParseIdentities(strings.NewReader(text))
		if (err == nil) != (len(ids) > 0) {
			t.Fatalf("%d identities and %v", len(ids), err)
		}
		if err != nil && strings.Contains(strings.ToUpper(err.Error()), "AGE-SECRET-KEY-1Q") {
			t.Fatal("a secret is quoted")
		}
	})
}

package sealed_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/sealed"
)

var of = sealed.Context{RunID: "019a0000-0000-7000-8000-000000000001", Tenant: "acme"}

func identity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	return id
}

func recipientsOf(ids ...*age.X25519Identity) []string {
	var all []string
	for _, id := range ids {
		all = append(all, id.Recipient().String())
	}
	return sealed.Normal(all)
}

func keysOf(ids ...*age.X25519Identity) sealed.Keys { return sealed.Keys{Identities: ids} }

func sealer(t testing.TB, mode sealed.Mode, service sealed.KeyWrapper, recipients ...string) *sealed.Sealer {
	t.Helper()
	s, err := sealed.NewSealer(t.Context(), sealed.Terms{Mode: mode, Recipients: recipients}, of, service, rand.Reader)
	require.NoError(t, err)
	return s
}

func sealing(s *sealed.Sealer) sealed.Sealing {
	return sealed.Sealing{Mode: s.Mode(), Of: of, Recipients: s.Recipients, Keys: s.Keys, KeyCheck: s.KeyCheck}
}

func encrypt(t testing.TB, s *sealed.Sealer, path string, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := s.Seal(path, &out)
	require.NoError(t, err)
	_, err = io.Copy(struct{ io.Writer }{w}, iotest.HalfReader(bytes.NewReader(plain)))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func decrypt(s sealed.Sealing, path string, file []byte, keys sealed.Keys) ([]byte, error) {
	o, err := sealed.NewOpener(context.Background(), s, keys)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	r, n, err := o.Open(path, bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(r, 0, n))
}

var bothModes = []sealed.Mode{sealed.ModeAge, sealed.ModeGCM}

// TestRoundTrip: what is sealed opens for each recipient, at any byte, and lengths
// are those that are foretold.
func TestRoundTrip(t *testing.T) {
	alice, bob := identity(t), identity(t)
	for _, mode := range bothModes {
		s := sealer(t, mode, nil, recipientsOf(alice, bob)...)
		for _, size := range []int64{0, 1, 15, 16, 17, 65535, 65536, 65537, 131072, 131073, 300_000} {
			plain := plaintext(size)
			file := encrypt(t, s, "data/x", plain)
			require.Equal(t, mode.CipherSize(2, size), int64(len(file)))
			foretold, err := sealed.CheckForm(mode, 2, bytes.NewReader(file), int64(len(file)))
			require.NoError(t, err)
			require.Equal(t, size, foretold)
			for _, who := range []*age.X25519Identity{alice, bob} {
				got, err := decrypt(sealing(s), "data/x", file, keysOf(identity(t), who))
				require.NoError(t, err)
				require.True(t, bytes.Equal(plain, got))
			}
			o, err := sealed.NewOpener(t.Context(), sealing(s), keysOf(bob))
			require.NoError(t, err)
			require.Equal(t, bob.Recipient().String(), o.Recipient)
			r, n, err := o.Open("data/x", bytes.NewReader(file), int64(len(file)))
			require.NoError(t, err)
			random := mathrand.New(mathrand.NewPCG(1, uint64(size)))
			for range 30 {
				from := random.Int64N(n + 1)
				p := make([]byte, random.Int64N(n-from+1))
				read, err := r.ReadAt(p, from)
				require.True(t, err == nil || err == io.EOF && from+int64(read) == n, "%v", err)
				require.True(t, bytes.Equal(plain[from:from+int64(len(p))], p[:read]))
			}
			read, err := r.ReadAt(make([]byte, 10), n)
			require.Equal(t, io.EOF, err)
			require.Zero(t, read)
		}
	}
}

// TestEveryLengthHasOnePlaintext: no two plaintext lengths share a file length, and
// lengths between are refused.
func TestEveryLengthHasOnePlaintext(t *testing.T) {
	for _, mode := range bothModes {
		for _, n := range []int{1, 2, 64} {
			good := map[int64]int64{}
			for plain := int64(0); plain < 140_000; plain++ {
				good[mode.CipherSize(n, plain)] = plain
			}
			require.Len(t, good, 140_000)
			for cipher := int64(-5); cipher < mode.CipherSize(n, 140_000); cipher++ {
				plain, err := mode.PlainSize(n, cipher)
				want, ok := good[cipher]
				require.Equal(t, ok, err == nil, "%s, %d recipients, %d bytes", mode, n, cipher)
				require.True(t, !ok || plain == want)
			}
		}
	}
}

// TestTampering: every bit of a small file, and every way to move chunks, in both
// modes; truncation at every byte.
func TestTampering(t *testing.T) {
	alice := identity(t)
	for _, mode := range bothModes {
		s := sealer(t, mode, nil, recipientsOf(alice)...)
		small := encrypt(t, s, "data/x", plaintext(300))
		refused := func(name string, file []byte) {
			t.Helper()
			_, err := decrypt(sealing(s), "data/x", file, keysOf(alice))
			require.Error(t, err, "%s: %s", mode, name)
			require.True(t, errors.Is(err, sealed.ErrTampered) || errors.Is(err, sealed.ErrForm) || errors.Is(err, sealed.ErrNoKey), "%s: %s: %v", mode, name, err)
		}
		for bit := range len(small) * 8 {
			flipped := bytes.Clone(small)
			flipped[bit/8] ^= 1 << (bit % 8)
			refused(fmt.Sprintf("bit %d", bit), flipped)
		}
		for n := range small {
			refused(fmt.Sprintf("cut at %d", n), small[:n])
		}
		refused("a byte behind", append(bytes.Clone(small), 0))

		large := encrypt(t, s, "data/x", plaintext(3*sealed.ChunkSize+100))
		other := encrypt(t, s, "data/x", plaintext(3*sealed.ChunkSize+100))
		begin := len(large) - (3*(sealed.ChunkSize+16) + 116)
		chunk := func(of []byte, i int) []byte {
			const step = sealed.ChunkSize + 16
			return of[begin+i*step : min(len(of), begin+(i+1)*step)]
		}
		build := func(chunks ...[]byte) []byte { return slices.Concat(append([][]byte{large[:begin]}, chunks...)...) }
		c := func(i int) []byte { return chunk(large, i) }
		require.True(t, bytes.Equal(large, build(c(0), c(1), c(2), c(3))))
		for name, file := range map[string][]byte{
			"swapped": build(c(1), c(0), c(2), c(3)), "twice": build(c(0), c(1), c(1), c(2), c(3)), "in another's place": build(c(0), c(0), c(2), c(3)),
			"left out": build(c(0), c(2), c(3)), "without the last": build(c(0), c(1), c(2)), "the last twice": build(c(0), c(1), c(2), c(3), c(3)),
			"of another file": build(c(0), chunk(other, 1), c(2), c(3)), "the last alone": build(c(3)), "the first alone": build(c(0)),
			"none": build(), "another's header": slices.Concat(other[:begin], large[begin:]),
		} {
			refused(name, file)
		}
	}
	// A file at another path, or of another run: bound by mode aes-gcm. (An age file
	// is bound to its path by the signed digests around it.)
	s := sealer(t, sealed.ModeGCM, nil, recipientsOf(alice)...)
	file := encrypt(t, s, "data/x", plaintext(300))
	_, err := decrypt(sealing(s), "data/y", file, keysOf(alice))
	require.ErrorIs(t, err, sealed.ErrTampered)
	o := sealing(s)
	o.Of.RunID = "019a0000-0000-7000-8000-000000000002"
	_, err = decrypt(o, "data/x", file, keysOf(alice))
	require.ErrorIs(t, err, sealed.ErrTampered)
}

// TestKeysAreBound: a wrapped key of another run, for another list of recipients or
// with another key inside is refused.
func TestKeysAreBound(t *testing.T) {
	alice, bob := identity(t), identity(t)
	s, other := sealer(t, sealed.ModeGCM, nil, recipientsOf(alice, bob)...), sealer(t, sealed.ModeGCM, nil, recipientsOf(alice, bob)...)
	file := encrypt(t, s, "data/x", []byte("evidence"))
	for name, change := range map[string]func(*sealed.Sealing){
		"another's key": func(o *sealed.Sealing) { o.Keys = other.Keys },
		"tenant":        func(o *sealed.Sealing) { o.Of.Tenant = "globex" },
		"run":           func(o *sealed.Sealing) { o.Of.RunID += "1" },
		"fewer": func(o *sealed.Sealing) {
			o.Recipients, o.Keys = recipientsOf(alice), slices.DeleteFunc(slices.Clone(o.Keys), func(k sealed.WrappedKey) bool { return k.Recipient != alice.Recipient().String() })
		},
		"check": func(o *sealed.Sealing) { o.KeyCheck[3] ^= 1 },
	} {
		o := sealing(s)
		change(&o)
		_, err := decrypt(o, "data/x", file, keysOf(alice))
		require.ErrorIs(t, err, sealed.ErrTampered, name)
	}
	require.Error(t, sealed.CheckWrapped(sealed.WrappedKey{Recipient: recipientsOf(alice)[0], Wrapped: []byte("x")}))
	require.Error(t, sealed.CheckWrapped(sealed.WrappedKey{Recipient: "kms://k"}))
	for _, k := range s.Keys {
		require.NoError(t, sealed.CheckWrapped(k))
		require.Len(t, k.Wrapped, 232)
	}
}

func TestWrongIdentity(t *testing.T) {
	alice, mallory := identity(t), identity(t)
	for _, mode := range bothModes {
		s := sealer(t, mode, nil, recipientsOf(alice)...)
		for _, keys := range []sealed.Keys{keysOf(mallory), {}} {
			_, err := decrypt(sealing(s), "data/x", encrypt(t, s, "data/x", nil), keys)
			require.ErrorIs(t, err, sealed.ErrNoKey)
			require.ErrorContains(t, err, alice.Recipient().String())
			require.NotContains(t, err.Error(), "AGE-SECRET")
		}
		// Whoever claims to be a recipient and is none.
		o := sealing(s)
		o.Recipients = sealed.Normal(append(recipientsOf(mallory), o.Recipients...))[:0]
		o.Recipients = append(o.Recipients, recipientsOf(mallory)...)
		_, err := decrypt(o, "data/x", encrypt(t, s, "data/x", nil), keysOf(mallory))
		require.ErrorIs(t, err, sealed.ErrNoKey)
	}
}

// TestForeignStanzas: age files of passphrases, of several recipients or with more in
// their header are refused without a key, and before age sees them.
func TestForeignStanzas(t *testing.T) {
	alice := identity(t)
	s := sealer(t, sealed.ModeAge, nil, recipientsOf(alice)...)
	good := encrypt(t, s, "data/x", []byte("evidence"))
	require.NoError(t, sealed.CheckAge(bytes.NewReader(good), 1))
	password, err := age.NewScryptRecipient("password")
	require.NoError(t, err)
	password.SetWorkFactor(10)
	var secret bytes.Buffer
	w, err := age.Encrypt(&secret, password)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	two := encrypt(t, sealer(t, sealed.ModeAge, nil, recipientsOf(alice, identity(t))...), "data/x", []byte("evidence"))
	grease := strings.Replace(string(good), "-> X25519 ", "-> x-grease a\nAAAA\n-> X25519 ", 1)
	for name, file := range map[string]string{
		"passphrase": secret.String() + strings.Repeat("x", 300), "two recipients": string(two), "grease": grease,
		"crlf":        strings.ReplaceAll(string(good), "\n", "\r\n"),
		"no newlines": strings.ReplaceAll(string(good), "\n", " "), "armor": "-----BEGIN AGE ENCRYPTED FILE-----\n" + strings.Repeat("a", 400),
		"endless line": "age-encryption.org/v1\n-> X25519 " + strings.Repeat("A", 4<<20),
	} {
		require.ErrorIs(t, sealed.CheckAge(strings.NewReader(file), 1), sealed.ErrForm, name)
		_, err := decrypt(sealing(s), "data/x", []byte(file), keysOf(alice))
		require.ErrorIs(t, err, sealed.ErrForm, name)
	}
}

// TestDataKeyIsForgotten: Close overwrites it.
func TestDataKeyIsForgotten(t *testing.T) {
	s := sealer(t, sealed.ModeGCM, nil, recipientsOf(identity(t))...)
	key := s.DataKey()
	require.False(t, bytes.Equal(key, make([]byte, 32)))
	s.Close()
	require.Equal(t, make([]byte, 32), key)
	_, err := s.Seal("data/x", io.Discard)
	require.Error(t, err)
	s.Close()
}

// TestFilesDiffer: the same plaintext twice is two files, in each mode.
func TestFilesDiffer(t *testing.T) {
	for _, mode := range bothModes {
		s := sealer(t, mode, nil, recipientsOf(identity(t))...)
		require.NotEqual(t, encrypt(t, s, "data/x", []byte("evidence")), encrypt(t, s, "data/x", []byte("evidence")))
	}
}

func TestParseIdentities(t *testing.T) {
	alice, bob := identity(t), identity(t)
	text := "# created: 2026\n# public key: " + alice.Recipient().String() + "\n" + alice.String() + "\n\n" + bob.String() + "\r\n"
	ids, err := sealed.ParseIdentities(strings.NewReader(text))
	require.NoError(t, err)
	require.Len(t, ids, 2)
	hybrid, err := age.GenerateHybridIdentity()
	require.NoError(t, err)
	for name, bad := range map[string]string{
		"nothing": "", "comments": "# x\n", "a recipient": alice.Recipient().String(), "cut": alice.String()[:50], "post-quantum": hybrid.String(),
		"a PEM key": "-----BEGIN PRIVATE KEY-----\n", "too long": strings.Repeat(alice.String()+"\n", 2000), "binary": "\x00\xff",
		"a long line": strings.Repeat("A", 70_000),
	} {
		_, err := sealed.ParseIdentities(strings.NewReader(bad))
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "AGE-SECRET-KEY-1"+alice.String()[16:30])
	}
	_, err = sealed.ParseIdentities(iotest.ErrReader(errors.New("bad sector")))
	require.Error(t, err)
}

// TestBrokenSources: a source that cannot be read is not a file that was changed.
func TestBrokenSources(t *testing.T) {
	alice := identity(t)
	sector := errors.New("bad sector")
	for _, mode := range bothModes {
		s := sealer(t, mode, nil, recipientsOf(alice)...)
		file := encrypt(t, s, "data/x", plaintext(200_000))
		o, err := sealed.NewOpener(t.Context(), sealing(s), keysOf(alice))
		require.NoError(t, err)
		for reads := 0; ; reads++ {
			source := &breaking{bytes.NewReader(file), reads, sector}
			r, n, err := o.Open("data/x", source, int64(len(file)))
			if err == nil {
				_, err = io.Copy(io.Discard, io.NewSectionReader(r, 0, n))
			}
			if source.left >= 0 {
				require.NoError(t, err)
				break
			}
			require.ErrorIs(t, err, sector, "%s, read %d", mode, reads)
			require.NotErrorIs(t, err, sealed.ErrTampered)
		}
	}
}

type breaking struct {
	io.ReaderAt
	left int
	err  error
}

func (b *breaking) ReadAt(p []byte, off int64) (int, error) {
	if b.left--; b.left < 0 {
		return 0, b.err
	}
	return b.ReaderAt.ReadAt(p, off)
}

package sealed_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/sealed"
)

// TestAgeProgram: the age program opens what mode age makes, with each recipient's
// identity and with no other; we open what it makes.
func TestAgeProgram(t *testing.T) {
	program, keygen := testkit.Tool(t, "age"), testkit.Tool(t, "age-keygen")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	run := func(program string, args ...string) ([]byte, error) { return exec.Command(program, args...).Output() }
	var ids []*age.X25519Identity
	for _, name := range []string{"alice", "bob", "mallory"} {
		_, err := run(keygen, "-o", file(name))
		require.NoError(t, err)
		text, err := os.Open(file(name))
		require.NoError(t, err)
		parsed, err := sealed.ParseIdentities(text)
		require.NoError(t, err)
		text.Close()
		ids = append(ids, parsed...)
	}
	plain := plaintext(100_000)
	s := sealer(t, sealed.ModeAge, nil, recipientsOf(ids[0], ids[1])...)
	require.NoError(t, os.WriteFile(file("x.age"), encrypt(t, s, "data/x", plain), 0o600))
	for _, name := range []string{"alice", "bob"} {
		got, err := run(program, "-d", "-i", file(name), file("x.age"))
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, got))
	}
	_, err := run(program, "-d", "-i", file("mallory"), file("x.age"))
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Contains(t, string(exit.Stderr), "no identity matched")

	require.NoError(t, os.WriteFile(file("plain"), plain, 0o600))
	_, err = run(program, "-r", s.Recipients[0], "-r", s.Recipients[1], "-o", file("y.age"), file("plain"))
	require.NoError(t, err)
	theirs, err := os.ReadFile(file("y.age"))
	require.NoError(t, err)
	got, err := decrypt(sealing(s), "data/x", theirs, keysOf(ids[1]))
	require.NoError(t, err)
	require.True(t, bytes.Equal(plain, got))

	// A wrapped data key is an age file of it.
	g := sealer(t, sealed.ModeGCM, nil, recipientsOf(ids[0])...)
	require.NoError(t, os.WriteFile(file("key.age"), g.Keys[0].Wrapped, 0o600))
	got, err = run(program, "-d", "-i", file("alice"), file("key.age"))
	require.NoError(t, err)
	require.Equal(t, g.DataKey(), got)
}

package verify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

func ExampleFile() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	// The key comes from the person who verifies, never from the bundle.
	_, err = verify.LoadTrust("", dir)
	fmt.Println(errors.Is(err, verify.ErrNoKeys))

	report, err := verify.File(context.Background(), filepath.Join(dir, "absent.tar"), nil)
	var failure *verify.Error
	fmt.Println(report.Status, errors.As(err, &failure), failure.ExitCode(), failure.Reason)
	// Output:
	// true
	// failed true 4 unreadable
}

func TestLoadTrust(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	one, two := bundletest.Key(t, 1), bundletest.Key(t, 2)
	key := write("one.pub", one.PublicKeyPEM())
	write("two.pub", two.PublicKeyPEM())
	write("notes.txt", []byte("not read"))

	trust, err := verify.LoadTrust(key, "")
	require.NoError(t, err)
	require.Len(t, trust, 1)
	require.Equal(t, one.KeyID(), trust[0].KeyID())
	trust, err = verify.LoadTrust("", dir)
	require.NoError(t, err)
	require.Len(t, trust, 2)

	write("broken.pub", []byte("-----BEGIN PUBLIC KEY-----\n"))
	_, err = verify.LoadTrust("", dir)
	require.ErrorContains(t, err, "broken.pub")
	_, err = verify.LoadTrust(filepath.Join(dir, "absent"), "")
	require.ErrorIs(t, err, verify.ErrNoKeys)
	_, err = verify.LoadTrust("", filepath.Join(dir, "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = verify.LoadTrust("", "")
	require.ErrorIs(t, err, verify.ErrNoKeys)
	write("large.pub", make([]byte, 1<<20))
	_, err = verify.LoadTrust(filepath.Join(dir, "large.pub"), "")
	require.Error(t, err)
}

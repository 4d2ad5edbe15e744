package sealed_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/sealed"
)

// service is a key service in memory: what it wraps is bound to its context.
type service struct {
	id    *age.X25519Identity
	fails error
}

func (s service) Wrap(_ context.Context, keyID string, of sealed.Context, dataKey []byte) ([]byte, error) {
	if s.fails != nil {
		return nil, s.fails
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, s.id.Recipient())
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "%s\n%s\n%s\n%s", keyID, of.RunID, of.Tenant, dataKey)
	err = w.Close()
	return out.Bytes(), err
}

func (s service) Unwrap(_ context.Context, keyID string, of sealed.Context, wrapped []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(wrapped), s.id)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r)
	bound := fmt.Sprintf("%s\n%s\n%s\n", keyID, of.RunID, of.Tenant)
	if err != nil || !strings.HasPrefix(string(text), bound) {
		return nil, errors.New("the key is bound to something else")
	}
	return text[len(bound):], nil
}

func TestKeyService(t *testing.T) {
	kms, alice := service{id: identity(t)}, identity(t)
	s := sealer(t, sealed.ModeGCM, kms, append(recipientsOf(alice), "kms://keys/export")...)
	file := encrypt(t, s, "data/x", []byte("evidence"))
	for _, keys := range []sealed.Keys{keysOf(alice), {Service: kms}} {
		got, err := decrypt(sealing(s), "data/x", file, keys)
		require.NoError(t, err)
		require.Equal(t, "evidence", string(got))
	}
	_, err := decrypt(sealing(s), "data/x", file, sealed.Keys{Service: service{id: identity(t)}})
	require.ErrorIs(t, err, sealed.ErrNoKey)
	_, err = decrypt(sealing(s), "data/x", file, keysOf(identity(t)))
	require.ErrorIs(t, err, sealed.ErrNoKey)

	// A service that gives the key itself back is refused.
	_, err = sealed.NewSealer(t.Context(), sealed.Terms{Mode: sealed.ModeGCM, Recipients: []string{"kms://k"}}, of, echo{}, rand.Reader)
	require.ErrorContains(t, err, "no wrapped key")
}

type echo struct{ service }

func (echo) Wrap(_ context.Context, _ string, _ sealed.Context, dataKey []byte) ([]byte, error) {
	return bytes.Clone(dataKey), nil
}

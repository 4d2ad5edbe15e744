package sealed_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/sealed"
)

// TestUnusableRecipients: strict terms fail, others leave out and say so, and none
// left is an error. A service that is away is no reason to leave anybody out.
func TestUnusableRecipients(t *testing.T) {
	good := recipientsOf(identity(t))[0]
	try := func(mode sealed.Mode, strict bool, service sealed.KeyWrapper, recipients ...string) (*sealed.Sealer, error) {
		return sealed.NewSealer(t.Context(), sealed.Terms{Mode: mode, Recipients: recipients, Strict: strict}, of, service, rand.Reader)
	}
	for _, mode := range bothModes {
		s, err := try(mode, false, nil, "kms://k", good, good)
		require.NoError(t, err)
		require.Equal(t, []string{good}, s.Recipients)
		require.Len(t, s.Omitted, 1)
		require.Equal(t, "kms://k", s.Omitted[0].Recipient)
		_, err = try(mode, true, nil, "kms://k", good)
		require.ErrorIs(t, err, sealed.ErrRecipient)
		for _, none := range [][]string{{"kms://k"}, {}, {"age1x"}} {
			_, err = try(mode, false, nil, none...)
			require.ErrorIs(t, err, sealed.ErrNoRecipient)
		}
	}
	away := errors.New("connection refused")
	for _, strict := range []bool{true, false} {
		_, err := try(sealed.ModeGCM, strict, service{fails: away}, good, "kms://k")
		require.ErrorIs(t, err, away)
		require.NotErrorIs(t, err, sealed.ErrRecipient)
	}
	s, err := try(sealed.ModeGCM, false, service{fails: fmt.Errorf("disabled: %w", sealed.ErrRecipient)}, good, "kms://k")
	require.NoError(t, err)
	require.Equal(t, []string{good}, s.Recipients)
	_, err = sealed.NewSealer(t.Context(), sealed.Terms{Mode: "none", Recipients: []string{good}}, of, nil, rand.Reader)
	require.Error(t, err)
	_, err = sealed.NewSealer(t.Context(), sealed.Terms{Mode: sealed.ModeGCM, Recipients: []string{good}}, of, nil, bytes.NewReader(nil))
	require.Error(t, err)
}

func TestCheckRecipient(t *testing.T) {
	id := identity(t)
	good := id.Recipient().String()
	for _, mode := range bothModes {
		require.NoError(t, sealed.CheckRecipient(mode, good))
		changed := []byte(good)
		changed[20] ^= 1
		zero := "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z"
		for _, bad := range []string{"", "age1", string(changed), strings.ToUpper(good), good + "q", " " + good, good + "\n", zero,
			"age1pq1" + good[4:], "ssh-ed25519 AAAA", "kms://", "kms:// k", "kms://k\n", "kms://" + strings.Repeat("k", 300), "passphrase", id.String()} {
			err := sealed.CheckRecipient(mode, bad)
			require.ErrorIs(t, err, sealed.ErrRecipient, bad)
			require.NotContains(t, err.Error(), id.String()[16:], "a secret is quoted")
		}
	}
	require.ErrorContains(t, sealed.CheckRecipient(sealed.ModeAge, "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z"), "low order")
	require.NoError(t, sealed.CheckRecipient(sealed.ModeGCM, "kms://arn:aws:kms/eu-1/key@3"))
	require.ErrorContains(t, sealed.CheckRecipient(sealed.ModeAge, "kms://k"), "mode aes-gcm")
	require.NoError(t, sealed.CheckRecipients(sealed.ModeGCM, []string{good, "kms://k"}))
	for _, list := range [][]string{{}, {good, good}, {"kms://k", good}, make([]string, 65)} {
		require.Error(t, sealed.CheckRecipients(sealed.ModeGCM, list))
	}
}

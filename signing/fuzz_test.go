package signing_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/signing"
)

// believer accepts every signature under an honest key's id. With it the
// fuzzer gets past the signature, and the encoding alone has to hold.
type believer struct{ signing.Verifier }

func (believer) Verify(_, sig []byte) error {
	if len(sig) == 0 {
		return signing.ErrEncoding
	}
	return nil
}

func seeds(f *testing.F, formName string) []signing.Verifier {
	f.Helper()
	v := readVectors(f)
	for _, a := range v.Accepted {
		if a.Form == formName {
			f.Add([]byte(a.Text))
		}
	}
	for _, r := range v.Refused {
		if r.Form == formName {
			f.Add([]byte(r.Text))
		}
	}
	var keys []signing.Verifier
	for _, k := range v.Keys {
		key, err := signing.ParsePublicKey([]byte(k.PublicKey))
		require.NoError(f, err)
		keys = append(keys, key)
	}
	return keys
}

// honest says whether text is one of the published accepted envelopes.
func honest(f testing.TB, formName string) func(text []byte) bool {
	accepted := map[string]bool{}
	for _, a := range readVectors(f).Accepted {
		if a.Form == formName {
			accepted[a.Text] = true
		}
	}
	return func(text []byte) bool { return accepted[string(text)] }
}

// recorder keeps the message and signature that an envelope presented.
type recorder struct {
	believer
	message, sig *[]byte
}

func (r recorder) Verify(message, sig []byte) error {
	*r.message, *r.sig = message, sig
	return r.believer.Verify(message, sig)
}

func recorders(keys []signing.Verifier) (out []signing.Verifier, message, sig *[]byte) {
	message, sig = new([]byte), new([]byte)
	for _, k := range keys {
		out = append(out, recorder{believer{k}, message, sig})
	}
	return out, message, sig
}

// Whatever opens is honest, and whatever could open under a forged signature
// still has exactly one encoding.
func FuzzOpenEnvelope(f *testing.F) {
	keys, known := seeds(f, "dsse"), honest(f, "dsse")
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, _, err := signing.OpenEnvelope(text, testType, keys); err == nil && !known(text) {
			t.Fatalf("opened a stranger's envelope: %q", text)
		}
		all, message, sig := recorders(keys)
		payload, id, err := signing.OpenEnvelope(text, testType, all)
		if read, named, unread := signing.ReadEnvelope(text, testType); unread == nil {
			require.Contains(t, string(text), named)
			if err == nil {
				require.Equal(t, payload, read)
			}
		} else {
			require.Error(t, err, "what cannot be read cannot be opened")
		}
		if err != nil {
			requireRefused(t, err, "%q", text)
			return
		}
		again, err := signing.EncodeEnvelope(testType, payload, id, *sig)
		require.NoError(t, err)
		require.Equal(t, again, text)
		require.Equal(t, signing.PAE(testType, payload), *message)
	})
}

func FuzzOpenDSSEBundle(f *testing.F) {
	keys, known := seeds(f, "dsse-bundle"), honest(f, "dsse-bundle")
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, _, err := signing.OpenDSSEBundle(text, testType, keys); err == nil && !known(text) {
			t.Fatalf("opened a stranger's bundle: %q", text)
		}
		all, message, sig := recorders(keys)
		payload, id, err := signing.OpenDSSEBundle(text, testType, all)
		if err != nil {
			requireRefused(t, err, "%q", text)
			return
		}
		again, err := signing.EncodeDSSEBundle(testType, payload, id, *sig)
		require.NoError(t, err)
		require.Equal(t, again, text)
		require.Equal(t, signing.PAE(testType, payload), *message)
	})
}

func FuzzOpenMessageBundle(f *testing.F) {
	keys, known := seeds(f, "message-bundle"), honest(f, "message-bundle")
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := signing.OpenMessageBundle(text, testPayload, keys); err == nil && !known(text) {
			t.Fatalf("opened a stranger's bundle: %q", text)
		}
		all, message, sig := recorders(keys)
		id, err := signing.OpenMessageBundle(text, testPayload, all)
		if err != nil {
			requireRefused(t, err, "%q", text)
			return
		}
		again, err := signing.EncodeMessageBundle(id, sha256.Sum256(testPayload), *sig)
		require.NoError(t, err)
		require.Equal(t, again, text)
		require.Equal(t, testPayload, *message)
	})
}

// Two texts that parse to the same key differ in white space around the block
// and in line ends only.
func FuzzParsePublicKey(f *testing.F) {
	for _, k := range readVectors(f).Keys {
		f.Add([]byte(k.PublicKey))
		f.Add([]byte("\n" + k.PublicKey + k.PublicKey))
		f.Add(bytes.ReplaceAll([]byte(k.PublicKey), []byte("\n"), []byte("\r\n")))
	}
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := signing.ParsePublicKey(text)
		if err != nil {
			require.True(t, errors.Is(err, signing.ErrEncoding))
			return
		}
		plain := bytes.TrimSpace(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
		again, err := signing.ParsePublicKey(plain)
		require.NoError(t, err)
		require.Equal(t, key.KeyID(), again.KeyID())
	})
}

// A signature has one spelling: what LowS gives, it gives again, and nothing that
// it takes is longer than two numbers of the curve.
func FuzzLowS(f *testing.F) {
	for _, a := range readVectors(f).Accepted {
		f.Add([]byte(a.Text))
	}
	f.Add([]byte{0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01})
	f.Add([]byte{0x30, 0x80, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01, 0x00, 0x00})
	f.Fuzz(func(t *testing.T, sig []byte) {
		low, err := signing.LowS(sig)
		if err != nil {
			require.ErrorIs(t, err, signing.ErrEncoding)
			return
		}
		again, err := signing.LowS(low)
		if err != nil || !bytes.Equal(low, again) || len(low) > 72 {
			t.Fatalf("%x became %x, and that %x (%v)", sig, low, again, err)
		}
	})
}

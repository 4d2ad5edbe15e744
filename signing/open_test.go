package signing_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/signing"
)

const testType = signing.PayloadTypeInToto

var testPayload = []byte(`{"_type":"https://in-toto.io/Statement/v1","n":1}`)

// form is one of the three envelopes, written and opened the same way.
type form struct {
	name   string
	encode func(t testing.TB, s signing.Signer) []byte
	open   func(text []byte, keys []signing.Verifier) (keyID string, err error)
}

var forms = []form{
	{"dsse", func(t testing.TB, s signing.Signer) []byte {
		text, err := signing.SignEnvelope(context.Background(), s, testType, testPayload)
		require.NoError(t, err)
		return text
	}, func(text []byte, keys []signing.Verifier) (string, error) {
		payload, id, err := signing.OpenEnvelope(text, testType, keys)
		return id, alwaysThe(payload, err)
	}},
	{"dsse-bundle", func(t testing.TB, s signing.Signer) []byte {
		sig, err := s.Sign(context.Background(), signing.PAE(testType, testPayload))
		require.NoError(t, err)
		text, err := signing.EncodeDSSEBundle(testType, testPayload, s.KeyID(), sig)
		require.NoError(t, err)
		return text
	}, func(text []byte, keys []signing.Verifier) (string, error) {
		payload, id, err := signing.OpenDSSEBundle(text, testType, keys)
		return id, alwaysThe(payload, err)
	}},
	{"message-bundle", func(t testing.TB, s signing.Signer) []byte {
		sig, err := s.Sign(context.Background(), testPayload)
		require.NoError(t, err)
		text, err := signing.EncodeMessageBundle(s.KeyID(), sha256.Sum256(testPayload), sig)
		require.NoError(t, err)
		return text
	}, func(text []byte, keys []signing.Verifier) (string, error) {
		return signing.OpenMessageBundle(text, testPayload, keys)
	}},
}

// alwaysThe panics when an envelope opens with another payload than the one
// that was signed, or gives a payload beside an error.
func alwaysThe(payload []byte, err error) error {
	if (err == nil) != bytes.Equal(payload, testPayload) {
		panic("payload and error disagree")
	}
	return err
}

// everyForm runs test for each form and algorithm.
func everyForm(t *testing.T, test func(t *testing.T, f form, s signing.Signer, text []byte)) {
	t.Helper()
	for _, f := range forms {
		for _, s := range []signing.Signer{ecdsaSigner(t), ed25519Signer(t)} {
			t.Run(f.name+"/"+string(s.Algorithm()), func(t *testing.T) {
				test(t, f, s, f.encode(t, s))
			})
		}
	}
}

func bothKeys(t testing.TB) []signing.Verifier {
	return []signing.Verifier{verifierOf(t, ecdsaSigner(t)), nil, verifierOf(t, ed25519Signer(t))}
}

// requireRefused wants an error of one of the four classes.
func requireRefused(t testing.TB, err error, format string, args ...any) {
	t.Helper()
	for _, class := range []error{signing.ErrEncoding, signing.ErrSignature, signing.ErrUnknownKey, signing.ErrPayloadType} {
		if strings.Contains(errText(err), class.Error()) {
			require.ErrorIs(t, err, class)
			return
		}
	}
	t.Fatalf(format+": want a refusal of a known class, got %v", append(args, err)...)
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestWhatIsSignedOpens(t *testing.T) {
	everyForm(t, func(t *testing.T, f form, s signing.Signer, text []byte) {
		require.Equal(t, text, f.encode(t, s), "the same bytes again")
		id, err := f.open(text, bothKeys(t))
		require.NoError(t, err)
		require.Equal(t, s.KeyID(), id)
	})
}

func TestEverySingleBitFlipIsRefused(t *testing.T) {
	everyForm(t, func(t *testing.T, f form, s signing.Signer, text []byte) {
		keys, bad := bothKeys(t), bytes.Clone(text)
		for bit := range 8 * len(text) {
			bad[bit/8] ^= 1 << (bit % 8)
			_, err := f.open(bad, keys)
			requireRefused(t, err, "bit %d of byte %d", bit%8, bit/8)
			bad[bit/8] = text[bit/8]
		}
	})
}

func TestEveryCutAndEveryInsertionIsRefused(t *testing.T) {
	everyForm(t, func(t *testing.T, f form, s signing.Signer, text []byte) {
		keys := bothKeys(t)
		for i := range len(text) + 1 {
			if i < len(text) {
				_, err := f.open(text[:i], keys)
				requireRefused(t, err, "cut at %d", i)
				_, err = f.open(append(bytes.Clone(text[:i]), text[i+1:]...), keys)
				requireRefused(t, err, "without byte %d", i)
			}
			for _, extra := range []byte{' ', '\n', '\r', '\t', '=', 'A', '"', ',', 0} {
				bad := append(append(bytes.Clone(text[:i]), extra), text[i:]...)
				_, err := f.open(bad, keys)
				requireRefused(t, err, "byte %q before %d", extra, i)
			}
		}
	})
}

func TestUntrustedKeysOpenNothing(t *testing.T) {
	everyForm(t, func(t *testing.T, f form, s signing.Signer, text []byte) {
		var others []signing.Verifier
		for _, v := range bothKeys(t) {
			if v != nil && v.KeyID() != s.KeyID() {
				others = append(others, v)
			}
		}
		_, err := f.open(text, others)
		require.ErrorIs(t, err, signing.ErrUnknownKey)
		_, err = f.open(text, nil)
		require.ErrorIs(t, err, signing.ErrUnknownKey)
	})
}

// impostor claims another key's id, as a careless caller's Verifier could.
type impostor struct {
	signing.Verifier
	id string
}

func (i impostor) KeyID() string { return i.id }

func TestTheKeyAndNotItsNameDecides(t *testing.T) {
	everyForm(t, func(t *testing.T, f form, s signing.Signer, text []byte) {
		other := ecdsaSigner(t)
		if s.Algorithm() == signing.ECDSAP256 {
			other = ed25519Signer(t)
		}
		_, err := f.open(text, []signing.Verifier{impostor{verifierOf(t, other), s.KeyID()}})
		requireRefused(t, err, "other key under the same id")
	})
}

func TestAnotherPayloadTypeIsRefused(t *testing.T) {
	s := ecdsaSigner(t)
	text, err := signing.SignEnvelope(context.Background(), s, "text/plain", testPayload)
	require.NoError(t, err)
	_, _, err = signing.OpenEnvelope(text, testType, bothKeys(t))
	require.ErrorIs(t, err, signing.ErrPayloadType)
	// The type is part of what is signed: renaming it does not help.
	renamed := bytes.Replace(text, []byte("text/plain"), []byte(testType), 1)
	_, _, err = signing.OpenEnvelope(renamed, testType, bothKeys(t))
	require.ErrorIs(t, err, signing.ErrSignature)
}

func TestAnotherMessageIsRefused(t *testing.T) {
	text := forms[2].encode(t, ecdsaSigner(t))
	_, err := signing.OpenMessageBundle(text, append(bytes.Clone(testPayload), '\n'), bothKeys(t))
	require.ErrorIs(t, err, signing.ErrSignature)
	require.ErrorContains(t, err, "the message has sha256:")
}

// The same meaning in another spelling: all valid JSON that a usual reader
// would take.
func TestOtherSpellingsOfAnEnvelopeAreRefused(t *testing.T) {
	everyForm(t, func(t *testing.T, f form, s signing.Signer, text []byte) {
		for name, bad := range respell(string(text)) {
			_, err := f.open([]byte(bad), bothKeys(t))
			require.ErrorIs(t, err, signing.ErrEncoding, name)
		}
	})
}

func respell(text string) map[string]string {
	all := map[string]string{
		"line end after":    text + "\n",
		"byte order mark":   "\ufeff" + text,
		"unknown key first": `{"a":0,` + text[1:],
		"unknown key last":  text[:len(text)-1] + `,"z":0}`,
		"two documents":     text + text,
		"escaped slash":     strings.ReplaceAll(text, "/", `\/`),
		"unicode escape":    strings.Replace(text, "application", `\u0061pplication`, 1),
		"unpadded base64":   strings.ReplaceAll(text, "=", ""),
		"url base64":        strings.NewReplacer("+", "-", "/", "_").Replace(text),
		"upper-case key":    strings.Replace(strings.Replace(text, `"payload"`, `"Payload"`, 1), `"hint"`, `"Hint"`, 1),
		"line in base64":    strings.Replace(text, `=`, "\\n=", 1),
		"duplicate field":   strings.Replace(strings.Replace(text, `"keyid"`, `"keyid":"","keyid"`, 1), `"hint"`, `"hint":"","hint"`, 1),
		"no keyid":          strings.Replace(strings.Replace(text, `"keyid":"",`, ``, 1), `"mediaType"`, `"tlogEntries":[],"mediaType"`, 1),
	}
	for name, bad := range all {
		if bad == text {
			delete(all, name)
		}
	}
	return all
}

func TestOneSignatureExactly(t *testing.T) {
	text := string(forms[0].encode(t, ecdsaSigner(t)))
	head, tail, _ := strings.Cut(text, `[`)
	one := strings.TrimSuffix(tail, `]}`)
	for name, bad := range map[string]string{
		"none": head + `[]}`, "two": head + `[` + one + `,` + one + `]}`,
	} {
		_, _, err := signing.OpenEnvelope([]byte(bad), testType, bothKeys(t))
		require.ErrorIs(t, err, signing.ErrEncoding, name)
	}
}

func TestKeyIDsInsideABundleAreRefused(t *testing.T) {
	s := ecdsaSigner(t)
	text := string(forms[1].encode(t, s))
	fingerprint, err := signing.SSHFingerprint(ecdsaKey(t).Public())
	require.NoError(t, err)
	for _, id := range []string{s.KeyID(), fingerprint, "k1"} {
		_, _, err := signing.OpenDSSEBundle([]byte(strings.Replace(text, `"keyid":""`, `"keyid":"`+id+`"`, 1)), testType, bothKeys(t))
		require.ErrorIs(t, err, signing.ErrEncoding, id)
	}
}

func TestSizesAreBounded(t *testing.T) {
	keys := bothKeys(t)
	huge := bytes.Repeat([]byte{'A'}, signing.MaxEnvelope+1)
	for _, f := range forms {
		_, err := f.open(huge, keys)
		require.ErrorIs(t, err, signing.ErrEncoding, f.name)
	}
	id := keys[0].KeyID()
	payload := make([]byte, signing.MaxEnvelope*3/4)
	_, err := signing.EncodeEnvelope(testType, payload, id, nil)
	require.ErrorIs(t, err, signing.ErrEncoding)
	_, err = signing.EncodeDSSEBundle(testType, payload, id, nil)
	require.ErrorIs(t, err, signing.ErrEncoding)
	_, err = signing.EncodeMessageBundle(id, [32]byte{}, make([]byte, 8<<10))
	require.ErrorIs(t, err, signing.ErrEncoding)
}

func TestEncodersRefuseWhatCouldNotBeOpened(t *testing.T) {
	sig, id := []byte("s"), ecdsaSigner(t).KeyID()
	for _, bad := range []string{"", "k1", "sha256:", strings.ToUpper(id), id + "0", strings.TrimPrefix(id, "sha256:"), id[:70] + `"`} {
		_, err := signing.EncodeEnvelope(testType, nil, bad, sig)
		require.ErrorIs(t, err, signing.ErrEncoding, bad)
		_, err = signing.EncodeDSSEBundle(testType, nil, bad, sig)
		require.ErrorIs(t, err, signing.ErrEncoding, bad)
		_, err = signing.EncodeMessageBundle(bad, [32]byte{}, sig)
		require.ErrorIs(t, err, signing.ErrEncoding, bad)
	}
	for _, bad := range []string{"", "a b", "a\n", `a"b`, `a\b`, "ä", "a<b", strings.Repeat("a", 256)} {
		_, err := signing.EncodeEnvelope(bad, nil, id, sig)
		require.ErrorIs(t, err, signing.ErrEncoding, "%q", bad)
		_, err = signing.EncodeDSSEBundle(bad, nil, id, sig)
		require.ErrorIs(t, err, signing.ErrEncoding, "%q", bad)
	}
}

// The DSSE specification's own example of PAE.
func TestPAE(t *testing.T) {
	require.Equal(t, "DSSEv1 29 http://example.com/HelloWorld 11 hello world",
		string(signing.PAE("http://example.com/HelloWorld", []byte("hello world"))))
	require.Equal(t, "DSSEv1 0  0 ", string(signing.PAE("", nil)))
}

func TestEmptyPayload(t *testing.T) {
	s := ed25519Signer(t)
	text, err := signing.SignEnvelope(context.Background(), s, testType, nil)
	require.NoError(t, err)
	payload, _, err := signing.OpenEnvelope(text, testType, bothKeys(t))
	require.NoError(t, err)
	require.Empty(t, payload)
}

func TestHintIsTheKeyIDInBase64(t *testing.T) {
	s := ecdsaSigner(t)
	sum := sha256.Sum256(mustDER(t, s))
	require.Contains(t, string(forms[2].encode(t, s)), `"hint":"`+base64.StdEncoding.EncodeToString(sum[:])+`"`)
}

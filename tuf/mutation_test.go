package tuf_test

import (
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/tuf"
)

// signText signs the text of a document's signed part, whatever it says: what a
// lenient reader of it would check.
func signText(t testing.TB, signed string, signers ...signing.Signer) []byte {
	t.Helper()
	var read any
	message := []byte(signed)
	if json.Unmarshal([]byte(signed), &read) == nil {
		if text, err := cjson.EncodeCanonical(read); err == nil {
			message = text
		}
	}
	var list []string
	for _, signer := range signers {
		value, err := signer.Sign(t.Context(), message)
		require.NoError(t, err)
		s, err := tuf.SignatureBy(signer.PublicKeyPEM(), value)
		require.NoError(t, err)
		list = append(list, fmt.Sprintf(`{"keyid":%q,"sig":%q}`, s.KeyID, s.Value))
	}
	return []byte(`{"signatures":[` + strings.Join(list, ",") + `],"signed":` + signed + `}`)
}

// signedPart is the text of a document's signed part.
func signedPart(t testing.TB, document []byte) string {
	t.Helper()
	_, text, found := strings.Cut(string(document), `,"signed":`)
	require.True(t, found)
	return strings.TrimSuffix(text, "}")
}

// Every text here is signed by the key that may sign it.
func TestOtherFormsAreRefused(t *testing.T) {
	w := newWorld(t, signing.Ed25519)
	timestamp := signedPart(t, w.set.Timestamp)
	require.Equal(t, string(w.set.Timestamp), string(signText(t, timestamp, w.online)), "an unchanged text is the document")
	replaced := func(old, put string) string {
		require.Contains(t, timestamp, old)
		return strings.Replace(timestamp, old, put, 1)
	}
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	for name, text := range map[string]string{
		"a key twice":                   replaced(`"version":7}`, `"version":7,"version":7}`),
		"a key twice, the last counts":  replaced(`{"_type"`, `{"version":9,"_type"`),
		"a key in another case":         replaced(`"expires"`, `"Expires"`),
		"a key of both cases":           replaced(`"expires"`, `"Expires":"2030-01-01T00:00:00Z","expires"`),
		"a member more":                 replaced(`"_type"`, `"Zz":1,"_type"`),
		"a member less":                 replaced(`,"spec_version":"1.0.31"`, ``),
		"white space":                   replaced(`:7}`, `: 7}`),
		"members in another order":      replaced(`"_type":"timestamp","expires":"2027-11-21T08:00:00Z"`, `"expires":"2027-11-21T08:00:00Z","_type":"timestamp"`),
		"an escape":                     replaced(`timestamp"`, `timestam\u0070"`),
		"another role":                  replaced(`"timestamp"`, `"snapshot"`),
		"an unknown role":               replaced(`"timestamp"`, `"mirrors"`),
		"version 0":                     strings.TrimSuffix(timestamp, `7}`) + "0}",
		"a version below 0":             strings.TrimSuffix(timestamp, `7}`) + "-7}",
		"a version that is no integer":  strings.TrimSuffix(timestamp, `7}`) + "7.5}",
		"a version with an exponent":    strings.TrimSuffix(timestamp, `7}`) + "70e-1}",
		"a version beyond 2^53":         strings.TrimSuffix(timestamp, `7}`) + "9007199254740993}",
		"a version of 400 digits":       strings.TrimSuffix(timestamp, `7}`) + strings.Repeat("7", 400) + "}",
		"a version that is a text":      strings.TrimSuffix(timestamp, `7}`) + `"7"}`,
		"no end":                        replaced(`"2027-11-21T08:00:00Z"`, `null`),
		"an end of another zone":        replaced(`08:00:00Z`, `09:00:00+01:00`),
		"an end with a fraction":        replaced(`08:00:00Z`, `08:00:00.5Z`),
		"an end of a year of 5 digits":  replaced(`2027-`, `12027-`),
		"an end that is no day":         replaced(`-11-21`, `-02-30`),
		"specification 2":               replaced(`1.0.31`, `2.0.0`),
		"specification 1.1":             replaced(`1.0.31`, `1.1.0`),
		"a document more":               replaced(`"snapshot.json":{`, `"root.json":{"version":1},"snapshot.json":{`),
		"no document":                   strings.Replace(timestamp, timestamp[strings.Index(timestamp, `"meta":`)+7:strings.Index(timestamp, `,"spec_`)], `{}`, 1),
		"meta that is none":             strings.Replace(timestamp, timestamp[strings.Index(timestamp, `"meta":`)+7:strings.Index(timestamp, `,"spec_`)], `null`, 1),
		"length 0":                      replaced(`"length":467`, `"length":0`),
		"a length below 0":              replaced(`"length":467`, `"length":-1`),
		"no length":                     replaced(`"length":467,`, ``),
		"another hash":                  replaced(`"sha256"`, `"sha512"`),
		"a second hash":                 replaced(`{"sha256"`, `{"md5":"00","sha256"`),
		"no hash":                       replaced(`{"sha256":"`+bundle.DigestOf(w.set.Snapshot).Hex()+`"}`, `{}`),
		"a hash in upper case":          replaced(bundle.DigestOf(w.set.Snapshot).Hex(), strings.ToUpper(bundle.DigestOf(w.set.Snapshot).Hex())),
		"deep nesting":                  replaced(`"2027-11-21T08:00:00Z"`, deep),
		"deep nesting in a member more": replaced(`"_type"`, `"Zz":`+deep+`,"_type"`),
		"a huge member":                 replaced(`1.0.31`, strings.Repeat("1", 1<<20)),
		"an array":                      "[" + timestamp + "]",
		"null":                          "null",
		"nothing":                       "",
		"bytes that are no text":        replaced(`timestamp`, "timest\xffmp"),
		"a second value":                timestamp + timestamp,
	} {
		t.Run(name, func(t *testing.T) {
			set := w.set
			set.Timestamp = signText(t, text, w.online)
			_, err := tuf.Verify(set, generation, w.files)
			require.ErrorIs(t, err, tuf.ErrForm)
			_, err = tuf.Parse[tuf.Timestamp](set.Timestamp)
			require.ErrorIs(t, err, tuf.ErrForm)
		})
	}
}

// Signatures: how many there are, by whom, and how they are written.
func TestOtherSignaturesAreRefused(t *testing.T) {
	w := newWorld(t, signing.Ed25519)
	text := signedPart(t, w.set.Timestamp)
	own := strings.TrimSuffix(strings.TrimPrefix(string(w.set.Timestamp), `{"signatures":[`), `],"signed":`+text+`}`)
	stranger := string(signText(t, text, bundletest.Key(t, 9, signing.Ed25519)))
	other := strings.TrimSuffix(strings.TrimPrefix(stranger, `{"signatures":[`), `],"signed":`+text+`}`)
	value := own[strings.Index(own, `"sig":"`)+7 : len(own)-2]
	id := own[strings.Index(own, `"keyid":"`)+9:][:64]
	for name, of := range map[string]struct {
		list string
		want error
	}{
		"none":                           {``, tuf.ErrForm},
		"the same twice":                 {own + "," + own, tuf.ErrForm},
		"a stranger's alone":             {other, tuf.ErrSignature},
		"a stranger's besides":           {ordered(own, other), tuf.ErrSignature},
		"the right one under another id": {strings.Replace(own, id, strings.Repeat("0", 64), 1), tuf.ErrSignature},
		"the id in upper case":           {strings.Replace(own, id, strings.ToUpper(id), 1), tuf.ErrForm},
		"a short id":                     {strings.Replace(own, id, id[:63], 1), tuf.ErrForm},
		"no value":                       {strings.Replace(own, value, "", 1), tuf.ErrForm},
		"a value in upper case":          {strings.Replace(own, value, strings.ToUpper(value), 1), tuf.ErrForm},
		"a value in base64":              {strings.Replace(own, value, "AAAA", 1), tuf.ErrForm},
		"half a value":                   {strings.Replace(own, value, value[:64], 1), tuf.ErrSignature},
		"a value and something more":     {strings.Replace(own, value, value+"00", 1), tuf.ErrSignature},
		"a huge value":                   {strings.Replace(own, value, strings.Repeat("00", 4096), 1), tuf.ErrForm},
		"a value of zeros":               {strings.Replace(own, value, strings.Repeat("00", 64), 1), tuf.ErrSignature},
		"a member more":                  {strings.Replace(own, `{"keyid"`, `{"cert":"x","keyid"`, 1), tuf.ErrForm},
		"one hundred":                    {strings.TrimSuffix(strings.Repeat(own+",", 100), ","), tuf.ErrForm},
		"null":                           {"null", tuf.ErrForm},
	} {
		t.Run(name, func(t *testing.T) {
			set := w.set
			set.Timestamp = []byte(`{"signatures":[` + of.list + `],"signed":` + text + `}`)
			_, err := tuf.Verify(set, generation, w.files)
			require.ErrorIs(t, err, of.want)
		})
	}
	for name, text := range map[string]string{
		"no signatures":        `{"signed":` + text + `}`,
		"null for signatures":  `{"signatures":null,"signed":` + text + `}`,
		"nothing signed":       `{"signatures":[` + own + `]}`,
		"signed twice":         `{"signatures":[` + own + `],"signed":` + text + `,"signed":` + text + `}`,
		"the other way around": `{"signed":` + text + `,"signatures":[` + own + `]}`,
		"a line feed behind":   string(w.set.Timestamp) + "\n",
		"a byte order mark":    "\ufeff" + string(w.set.Timestamp),
	} {
		set := w.set
		set.Timestamp = []byte(text)
		_, err := tuf.Verify(set, generation, w.files)
		require.ErrorIs(t, err, tuf.ErrForm, name)
	}
}

// ordered puts two signatures into the order that documents have.
func ordered(a, b string) string {
	if a > b {
		a, b = b, a
	}
	return a + "," + b
}

// otherForm gives the second form of an ECDSA signature on P-256.
func otherForm(t testing.TB, der []byte) []byte {
	t.Helper()
	var pair struct{ R, S *big.Int }
	_, err := asn1.Unmarshal(der, &pair)
	require.NoError(t, err)
	pair.S.Sub(elliptic.P256().Params().N, pair.S)
	der, err = asn1.Marshal(pair)
	require.NoError(t, err)
	return der
}

// An ECDSA signature has two forms; only the lower one is read.
func TestASecondFormOfASignatureIsRefused(t *testing.T) {
	w := newWorld(t, signing.ECDSAP256)
	d, err := tuf.Parse[tuf.Timestamp](w.set.Timestamp)
	require.NoError(t, err)
	raw, err := hex.DecodeString(d.Signatures[0].Value)
	require.NoError(t, err)
	again, err := tuf.Encode(d.Signed, tuf.Signature{KeyID: d.Signatures[0].KeyID, Value: hex.EncodeToString(otherForm(t, raw))})
	require.NoError(t, err)
	set := w.set
	set.Timestamp = again.Raw
	_, err = tuf.Verify(set, generation, w.files)
	require.ErrorIs(t, err, tuf.ErrSignature)
	require.NoError(t, peer(set.Roots[0], set, bundletest.TUFMoment), "go-tuf takes both: nothing of ours may lean on the bytes")
}

package signing_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/signing"
)

var update = flag.Bool("update", false, "write testdata/vectors.json again")

// vectors is testdata/vectors.json, published for other implementations and
// described in docs/formats/signatures.md.
type vectors struct {
	Keys        []vectorKey    `json:"keys"`
	PayloadType string         `json:"payloadType"`
	Payload     string         `json:"payload"`
	PAE         string         `json:"pae"`
	Accepted    []vectorAccept `json:"accepted"`
	Refused     []vectorRefuse `json:"refused"`
}

type vectorKey struct {
	Name           string            `json:"name"`
	Algorithm      signing.Algorithm `json:"algorithm"`
	Private        string            `json:"private"` // scalar or seed, hex; made for these tests
	PublicKey      string            `json:"publicKey"`
	KeyID          string            `json:"keyId"`
	Hint           string            `json:"hint"`
	SSHFingerprint string            `json:"sshFingerprint"`
}

type vectorAccept struct {
	Form      string `json:"form"`
	Key       string `json:"key"`
	Signature string `json:"signature"` // hex
	Text      string `json:"text"`
}

type vectorRefuse struct {
	Name  string `json:"name"`
	Form  string `json:"form"`
	Error string `json:"error"`
	Text  string `json:"text"`
}

// classes are the names of the four refusals in the file.
var classes = map[string]error{
	"encoding": signing.ErrEncoding, "signature": signing.ErrSignature,
	"unknown-key": signing.ErrUnknownKey, "payload-type": signing.ErrPayloadType,
}

// vectorSigner makes the test key of that name: SHA-256 of a sentence.
func vectorSigner(t testing.TB, name string) (signing.Signer, vectorKey) {
	t.Helper()
	secret := sha256.Sum256([]byte("exportcenter signing test key: " + name))
	var key crypto.Signer
	switch name {
	case "ed25519":
		key = ed25519.NewKeyFromSeed(secret[:])
	default:
		k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret[:])
		require.NoError(t, err)
		key = k
	}
	s, err := signing.NewSigner(key)
	require.NoError(t, err)
	fingerprint, err := signing.SSHFingerprint(key.Public())
	require.NoError(t, err)
	sum, err := hex.DecodeString(strings.TrimPrefix(s.KeyID(), "sha256:"))
	require.NoError(t, err)
	return s, vectorKey{
		Name: name, Algorithm: s.Algorithm(), Private: hex.EncodeToString(secret[:]), PublicKey: string(s.PublicKeyPEM()),
		KeyID: s.KeyID(), Hint: base64.StdEncoding.EncodeToString(sum), SSHFingerprint: fingerprint,
	}
}

func makeVectors(t testing.TB) vectors {
	v := vectors{PayloadType: testType, Payload: string(testPayload), PAE: string(signing.PAE(testType, testPayload))}
	for _, name := range []string{"ecdsa-p256", "ed25519"} {
		s, key := vectorSigner(t, name)
		v.Keys = append(v.Keys, key)
		for _, f := range forms {
			v.Accepted = append(v.Accepted, vectorAccept{f.name, name, hex.EncodeToString(vectorSignature(t, s, f.name)), string(f.encode(t, s))})
		}
	}
	for _, f := range forms {
		v.Refused = append(v.Refused, refusedForms(t, f)...)
	}
	return v
}

func vectorSignature(t testing.TB, s signing.Signer, formName string) []byte {
	message := signing.PAE(testType, testPayload)
	if formName == "message-bundle" {
		message = testPayload
	}
	sig, err := s.Sign(context.Background(), message)
	require.NoError(t, err)
	return sig
}

// refusedForms breaks each honest envelope of one form in one place.
func refusedForms(t testing.TB, f form) []vectorRefuse {
	s, _ := vectorSigner(t, "ecdsa-p256")
	edSigner, _ := vectorSigner(t, "ed25519")
	stranger, _ := vectorSigner(t, "stranger")
	text := string(f.encode(t, s))
	sig := vectorSignature(t, s, f.name)
	b64 := base64.StdEncoding.EncodeToString
	withSig := func(other []byte) string { return strings.Replace(text, b64(sig), b64(other), 1) }
	twin := parsePair(t, sig)
	twin.S = new(big.Int).Sub(elliptic.P256().Params().N, twin.S)
	edText, edSig := string(f.encode(t, edSigner)), vectorSignature(t, edSigner, f.name)

	out := []vectorRefuse{
		{"high s", f.name, "encoding", withSig(marshalPair(t, twin))},
		{"long-form DER length", f.name, "encoding", withSig(append([]byte{0x30, 0x81, sig[1]}, sig[2:]...))},
		{"zero before r", f.name, "encoding", withSig(padFirstInteger(sig))},
		{"byte after the DER", f.name, "encoding", withSig(append(bytes.Clone(sig), 0))},
		{"empty signature", f.name, "encoding", withSig(nil)},
		{"Ed25519 S plus the group order", f.name, "signature", strings.Replace(edText, b64(edSig), b64(addOrder(edSig)), 1)},
		{"signature of something else", f.name, "signature", withSig(vectorSignatureOfOther(t, s))},
		{"key that nobody trusts", f.name, "unknown-key", string(f.encode(t, stranger))},
		{"signature under the name of the other key", f.name, "encoding", strings.NewReplacer(
			s.KeyID(), edSigner.KeyID(), hintOf(t, s), hintOf(t, edSigner)).Replace(text)},
	}
	for _, name := range []string{"line end after", "byte order mark", "unknown key first", "unknown key last", "two documents",
		"escaped slash", "unicode escape", "unpadded base64", "duplicate field", "upper-case key"} {
		if bad, there := respell(text)[name]; there {
			out = append(out, vectorRefuse{name, f.name, "encoding", bad})
		}
	}
	return append(out, refusedByForm(t, f.name, text)...)
}

func hintOf(t testing.TB, s signing.Signer) string {
	sum := sha256.Sum256(mustDER(t, s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func vectorSignatureOfOther(t testing.TB, s signing.Signer) []byte {
	sig, err := s.Sign(context.Background(), []byte("something else"))
	require.NoError(t, err)
	return sig
}

// refusedByForm gives what can go wrong in one form only.
func refusedByForm(t testing.TB, name, text string) []vectorRefuse {
	s, _ := vectorSigner(t, "ecdsa-p256")
	replace := func(what, old, new, class string) vectorRefuse {
		bad := strings.Replace(text, old, new, 1)
		require.NotEqual(t, text, bad, what)
		return vectorRefuse{what, name, class, bad}
	}
	payload := base64.StdEncoding.EncodeToString(testPayload)
	switch name {
	case "dsse":
		return []vectorRefuse{
			replace("other payload type", testType, "text/plain", "payload-type"),
			replace("other payload", payload, base64.StdEncoding.EncodeToString([]byte("other")), "signature"),
			replace("free bits of base64", payload, strings.Replace(payload, "fQ==", "fR==", 1), "encoding"),
			replace("no key id", s.KeyID(), "", "encoding"),
			replace("upper-case key id", s.KeyID(), "sha256:"+strings.ToUpper(s.KeyID()[7:]), "encoding"),
			replace("no signature", text[strings.Index(text, "[")+1:], "]}", "encoding"),
		}
	case "dsse-bundle":
		return []vectorRefuse{
			replace("other payload type", testType, "text/plain", "payload-type"),
			replace("key id inside the bundle", `"keyid":""`, `"keyid":"`+s.KeyID()+`"`, "encoding"),
			replace("other bundle version", "v0.3", "v0.2", "encoding"),
			replace("short hint", hintOf(t, s), "AAAA", "encoding"),
		}
	}
	other := sha256.Sum256([]byte("other"))
	sum := sha256.Sum256(testPayload)
	b64 := base64.StdEncoding.EncodeToString
	return []vectorRefuse{
		replace("digest of another message", b64(sum[:]), b64(other[:]), "signature"),
		replace("other digest algorithm", "SHA2_256", "SHA2_512", "encoding"),
		replace("other bundle version", "v0.3", "v0.2", "encoding"),
		replace("short hint", hintOf(t, s), "AAAA", "encoding"),
	}
}

func vectorsPath() string { return filepath.Join("testdata", "vectors.json") }

func readVectors(t testing.TB) vectors {
	t.Helper()
	text, err := os.ReadFile(vectorsPath())
	require.NoError(t, err)
	var v vectors
	require.NoError(t, json.Unmarshal(text, &v))
	return v
}

// The published file is what this code makes today: a change of one byte is a
// change of the format.
func TestVectorsAreUpToDate(t *testing.T) {
	var buffer bytes.Buffer
	e := json.NewEncoder(&buffer)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	require.NoError(t, e.Encode(makeVectors(t)))
	if *update {
		require.NoError(t, os.WriteFile(vectorsPath(), buffer.Bytes(), 0o644))
	}
	published, err := os.ReadFile(vectorsPath())
	require.NoError(t, err, "run go test ./signing -run Vectors -update")
	require.Equal(t, string(published), buffer.String())
}

func TestVectorsHold(t *testing.T) {
	v := readVectors(t)
	var keys []signing.Verifier
	for _, k := range v.Keys {
		key, err := signing.ParsePublicKey([]byte(k.PublicKey))
		require.NoError(t, err)
		require.Equal(t, k.KeyID, key.KeyID())
		keys = append(keys, key)
	}
	open := map[string]form{}
	for _, f := range forms {
		open[f.name] = f
	}
	for _, a := range v.Accepted {
		_, err := open[a.Form].open([]byte(a.Text), keys)
		require.NoError(t, err, "%s %s", a.Form, a.Key)
	}
	for _, r := range v.Refused {
		t.Run(r.Form+"/"+r.Name, func(t *testing.T) {
			_, err := open[r.Form].open([]byte(r.Text), keys)
			require.ErrorIs(t, err, classes[r.Error])
		})
	}
	t.Logf("%d accepted, %d refused", len(v.Accepted), len(v.Refused))
}

// What ssh-keygen -lf printed for the two keys.
func TestSSHFingerprint(t *testing.T) {
	for name, want := range map[string]string{
		"ecdsa-p256": "SHA256:87ydJFsYe768k/U4lGI6sk77xzw+xO/EErqkqyJPea8",
		"ed25519":    "SHA256:5zkh9rfkGhy0q6ARYvh4GCOT87NInNj4Sc9m7VJ4PdE",
	} {
		_, key := vectorSigner(t, name)
		require.Equal(t, want, key.SSHFingerprint)
	}
}

package sealed_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/sealed"
)

// vectors is testdata/vectors.json, which testdata/vectors.py writes: another
// implementation than this one.
type vectors struct {
	DataKey, RunID, Tenant, Path, Nonce, FileKey string
	Accepted, Refused                            []vector
	KeyChecks                                    []struct {
		Recipients []string
		KeyCheck   string
	}
}

type vector struct {
	Name, SHA256, File, Recipe, PlainSHA256 string
	Bytes, PlainBytes                       int64
}

func loadVectors(t testing.TB) (v vectors, of sealed.Context) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &v))
	return v, sealed.Context{RunID: v.RunID, Tenant: v.Tenant}
}

func unhex(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	require.NoError(t, err)
	return b
}

// plaintext is the text that long vectors are made of.
func plaintext(n int64) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte((7*i + 3) % 251)
	}
	return out
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (v vectors) seal(t testing.TB, of sealed.Context, path string, dataKey, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := sealed.SealGCM(&out, dataKey, unhex(t, v.Nonce), of, path)
	require.NoError(t, err)
	_, err = w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestVectorsAreAccepted(t *testing.T) {
	v, of := loadVectors(t)
	key := unhex(t, v.DataKey)
	require.Len(t, v.Accepted, 8)
	for _, c := range v.Accepted {
		plain := plaintext(c.PlainBytes)
		require.Equal(t, c.PlainSHA256, digest(plain))
		file := v.seal(t, of, v.Path, key, plain)
		require.Equal(t, c.SHA256, digest(file), c.Name)
		if c.File != "" {
			require.Equal(t, c.File, hex.EncodeToString(file))
		}
		require.Equal(t, c.Bytes, sealed.ModeGCM.CipherSize(7, c.PlainBytes))
		r, n, err := sealed.OpenGCM(bytes.NewReader(file), int64(len(file)), key, of, v.Path)
		require.NoError(t, err, c.Name)
		require.Equal(t, c.PlainBytes, n)
		got, err := io.ReadAll(io.NewSectionReader(r, 0, n))
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, got), c.Name)
	}
	for _, c := range v.KeyChecks {
		check, err := sealed.KeyCheckOf(key, of, c.Recipients)
		require.NoError(t, err)
		require.Equal(t, c.KeyCheck, hex.EncodeToString(check[:]))
	}
}

// refusedFile makes a refused vector by its recipe.
func (v vectors) refusedFile(t *testing.T, of sealed.Context, c vector) []byte {
	key := unhex(t, v.DataKey)
	whole := v.seal(t, of, v.Path, key, plaintext(200_000))
	small := func(of sealed.Context, path string, key []byte) []byte {
		return v.seal(t, of, path, key, plaintext(100))
	}
	chunk := func(i int) []byte {
		const step = sealed.ChunkSize + 16
		return whole[12+i*step : min(len(whole), 12+(i+1)*step)]
	}
	if c.File != "" {
		return unhex(t, c.File)
	}
	if list, ok := strings.CutPrefix(c.Recipe, "chunks "); ok {
		out := bytes.Clone(whole[:12])
		for _, i := range strings.Fields(list) {
			n, err := strconv.Atoi(i)
			require.NoError(t, err)
			out = append(out, chunk(n)...)
		}
		return out
	}
	switch c.Name {
	case "cut inside the last chunk":
		return whole[:len(whole)-1]
	case "a byte behind":
		return append(bytes.Clone(whole), 0)
	case "an empty last chunk":
		full := v.seal(t, of, v.Path, key, plaintext(65_537)) // its first chunk is full and not the last
		return append(full[:12+sealed.ChunkSize+16], lastChunk(t, v, 1, nil)...)
	case "another run":
		return small(sealed.Context{RunID: "019a0000-0000-7000-8000-000000000002"}, v.Path, key)
	}
	t.Fatalf("no recipe for %s", c.Name)
	return nil
}

// lastChunk is a chunk by primitives: the file key that the vectors give, and GCM.
func lastChunk(t *testing.T, v vectors, number uint64, plain []byte) []byte {
	block, err := aes.NewCipher(unhex(t, v.FileKey))
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	nonce := make([]byte, 12)
	binary.BigEndian.PutUint64(nonce[3:], number)
	nonce[11] = 1
	return gcm.Seal(nil, nonce, plain, []byte(v.RunID+":"+v.Path))
}

func TestVectorsAreRefused(t *testing.T) {
	v, of := loadVectors(t)
	require.Len(t, v.Refused, 15)
	for _, c := range v.Refused {
		file := v.refusedFile(t, of, c)
		require.Equal(t, c.SHA256, digest(file), c.Name)
		r, n, err := sealed.OpenGCM(bytes.NewReader(file), int64(len(file)), unhex(t, v.DataKey), of, v.Path)
		if err == nil {
			_, err = io.Copy(io.Discard, io.NewSectionReader(r, 0, n))
		}
		require.Error(t, err, c.Name)
	}
}

// TestFileKeyByHand derives a file's key with HMAC alone (RFC 5869).
func TestFileKeyByHand(t *testing.T) {
	v, _ := loadVectors(t)
	mac := func(key, message []byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(message)
		return h.Sum(nil)
	}
	prk := mac(unhex(t, v.Nonce), unhex(t, v.DataKey))
	require.Equal(t, v.FileKey, hex.EncodeToString(mac(prk, []byte("stella-export/v1\n"+v.RunID+":"+v.Path+"\x01"))))
}

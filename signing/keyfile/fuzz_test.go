package keyfile

import (
	"encoding/pem"
	"testing"
)

// A key file that somebody else made costs no more than ours, and is refused in
// words. (The parameters of its key derivation are theirs to choose.)
func FuzzOpen(f *testing.F) {
	block := func(kind, content string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(content)})
	}
	f.Add(block(pemType, `{"kdf":{"name":"scrypt","params":{"N":2147483647,"r":255,"p":255},"salt":"AA=="},"cipher":{"name":"nacl/secretbox","nonce":"AA=="},"ciphertext":"AA=="}`))
	f.Add(block(pemType, `{}`))
	f.Add(block(pemTypeCosign, `null`))
	f.Add(block("PUBLIC KEY", ""))
	f.Add([]byte("-----BEGIN"))
	f.Fuzz(func(t *testing.T, text []byte) {
		signer, err := open(text, []byte("password"))
		if err == nil && signer == nil || err != nil && err.Error() == "" {
			t.Fatalf("neither a key nor a reason: %v", err)
		}
	})
}

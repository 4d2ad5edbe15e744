// Package keyfile keeps a private signing key in a file that cosign reads too:
// one PEM block "ENCRYPTED SIGSTORE PRIVATE KEY" whose bytes are the key in
// PKCS #8, sealed with NaCl secretbox under a key that scrypt (N=2^16, r=8,
// p=1) makes of the password.
//
//	cosign public-key --key export.key
//	COSIGN_PASSWORD=... cosign sign-blob --key export.key ...
//
// A key file is written once, never over another file, and is refused when
// more than its owner may change it or strangers may read it.
package keyfile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"github.com/stella-ops/exportcenter/signing"
)

// Why a key file was refused.
var (
	// ErrPassword: the password does not open the file.
	ErrPassword = errors.New("wrong password")
	// ErrPermissions: others than the owner could read or change the file.
	ErrPermissions = errors.New("permissions are too open")
	// ErrFormat: the file is not an encrypted key of a kind we sign with.
	ErrFormat = errors.New("not an encrypted private key")
)

const (
	pemType = "ENCRYPTED SIGSTORE PRIVATE KEY"
	// pemTypeCosign is what cosign wrote before version 2.
	pemTypeCosign = "ENCRYPTED COSIGN PRIVATE KEY"
)

// Generate makes a new key from rand, which must be a cryptographic source
// (crypto/rand.Reader) outside tests: the same bytes give the same key.
func Generate(alg signing.Algorithm, rand io.Reader) (crypto.Signer, error) {
	switch alg {
	case signing.ECDSAP256:
		return generateECDSA(rand)
	case signing.Ed25519:
		seed := make([]byte, ed25519.SeedSize)
		if _, err := io.ReadFull(rand, seed); err != nil {
			return nil, fmt.Errorf("generate key: %w", err)
		}
		return ed25519.NewKeyFromSeed(seed), nil
	}
	return nil, fmt.Errorf("generate key: algorithm %q is unknown; use %s or %s", alg, signing.ECDSAP256, signing.Ed25519)
}

// maxDraws bounds the rejection loop: a draw fails with probability 2^-32, so
// a second failure already means that rand is broken.
const maxDraws = 8

// generateECDSA draws scalars until one is in the group (FIPS 186-5 A.2.2).
// ecdsa.GenerateKey would ignore the reader it is given.
func generateECDSA(rand io.Reader) (crypto.Signer, error) {
	scalar := make([]byte, 32)
	for range maxDraws {
		if _, err := io.ReadFull(rand, scalar); err != nil {
			return nil, fmt.Errorf("generate key: %w", err)
		}
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("generate key: the random source gives no usable numbers")
}

// seal gives the file's text.
func seal(key crypto.Signer, password []byte) ([]byte, error) {
	if _, err := signing.NewSigner(key); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	box, err := encrypted.EncryptWithCustomKDFParameters(der, password, encrypted.Standard)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: box}), nil
}

// open reads what seal writes, and keys made by cosign.
func open(text, password []byte) (signing.Signer, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%w: no PEM block", ErrFormat)
	}
	if err := checkBlock(block, rest); err != nil {
		return nil, err
	}
	der, err := encrypted.Decrypt(block.Bytes, password)
	if err != nil {
		return nil, fmt.Errorf("%w, or the file was damaged: %v", ErrPassword, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFormat, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: a %T cannot sign; use ECDSA P-256 or Ed25519", ErrFormat, key)
	}
	s, err := signing.NewSigner(signer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return s, nil
}

func checkBlock(block *pem.Block, rest []byte) error {
	switch block.Type {
	case pemType, pemTypeCosign:
	case "PUBLIC KEY":
		return fmt.Errorf("%w: this is the public half; give the private key", ErrFormat)
	case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return fmt.Errorf("%w: PEM type %q; bring it into this form with `cosign import-key-pair`", ErrFormat, block.Type)
	default:
		return fmt.Errorf("%w: PEM type %.60q, want %q", ErrFormat, block.Type, pemType)
	}
	if len(block.Headers) != 0 || len(bytes.TrimSpace(rest)) != 0 {
		return fmt.Errorf("%w: want one PEM block and nothing else", ErrFormat)
	}
	if !json.Valid(block.Bytes) {
		return fmt.Errorf("%w: the PEM block holds no sealed box", ErrFormat)
	}
	return nil
}

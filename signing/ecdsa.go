package signing

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// maxDER is the longest DER form of two 256-bit integers: 2 + 2*(2+33).
const maxDER = 72

var (
	p256Order = elliptic.P256().Params().N
	// halfOrder is the greatest s that counts as low.
	halfOrder = new(big.Int).Rsh(p256Order, 1)
)

// ecdsaSignature is ECDSA-Sig-Value (RFC 3279 §2.2.3).
type ecdsaSignature struct {
	R, S *big.Int
}

// parseDER reads sig and refuses everything but its DER form: a signature
// that can be written in two ways would leave bits of an envelope free.
func parseDER(sig []byte) (ecdsaSignature, error) {
	var v ecdsaSignature
	if len(sig) > maxDER {
		return v, fmt.Errorf("%w: ECDSA signature of %d bytes, at most %d are possible", ErrEncoding, len(sig), maxDER)
	}
	rest, err := asn1.Unmarshal(sig, &v)
	if err != nil {
		return v, fmt.Errorf("%w: ECDSA signature is not DER: %v", ErrEncoding, err)
	}
	if len(rest) != 0 {
		return v, fmt.Errorf("%w: %d bytes after the ECDSA signature", ErrEncoding, len(rest))
	}
	if !inGroup(v.R) || !inGroup(v.S) {
		return v, fmt.Errorf("%w: ECDSA signature has a value outside the group order", ErrEncoding)
	}
	again, err := asn1.Marshal(v)
	if err != nil || !bytes.Equal(again, sig) {
		return v, fmt.Errorf("%w: ECDSA signature is not strict DER", ErrEncoding)
	}
	return v, nil
}

func inGroup(v *big.Int) bool {
	return v.Sign() > 0 && v.Cmp(p256Order) < 0
}

// LowS gives the DER form of a P-256 signature with s in the lower half of
// the group order. (r, s) and (r, N-s) are both valid for the same message, so
// a verifier that took both would let one signature have two spellings. Key
// services return either; every signature passes here before it is stored.
func LowS(sig []byte) ([]byte, error) {
	v, err := parseDER(sig)
	if err != nil {
		return nil, err
	}
	if v.S.Cmp(halfOrder) > 0 {
		v.S = new(big.Int).Sub(p256Order, v.S)
	}
	return asn1.Marshal(v)
}

// signECDSA signs deterministically: with no random source PrivateKey.Sign
// follows RFC 6979, so a retry gives the same bytes.
func signECDSA(key *ecdsa.PrivateKey, message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	sig, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return LowS(sig)
}

func verifyECDSA(pub *ecdsa.PublicKey, message, sig []byte) error {
	v, err := parseDER(sig)
	if err != nil {
		return err
	}
	if v.S.Cmp(halfOrder) > 0 {
		return fmt.Errorf("%w: ECDSA signature has the high form of s", ErrEncoding)
	}
	digest := sha256.Sum256(message)
	if !ecdsa.VerifyASN1(pub, digest[:], sig) {
		return ErrSignature
	}
	return nil
}

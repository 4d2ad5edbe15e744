package sealed

import "io"

// What tests of this package make by hand.
var (
	KeyCheckOf = keyCheck
	CheckAge   = checkAge
)

// SealGCM is a file of mode aes-gcm with a data key and a nonce of the test's.
func SealGCM(dst io.Writer, dataKey, nonce []byte, of Context, path string) (io.WriteCloser, error) {
	return newGCMWriter(dst, dataKey, nonce, aad(of, path))
}

// OpenGCM is its way back.
func OpenGCM(src io.ReaderAt, size int64, dataKey []byte, of Context, path string) (io.ReaderAt, int64, error) {
	return newGCMReader(src, size, dataKey, aad(of, path))
}

// DataKey is the key that a sealer holds.
func (s *Sealer) DataKey() []byte { return s.dataKey }

// Package sealed encrypts the files of a bundle for recipients, and opens them
// again at any byte. It does no I/O of its own and knows no bundle:
// docs/formats/encryption.md says how the two go together.
//
// There are two modes. In mode age every file is a native age file
// (age-encryption.org/v1, X25519 recipients only), which the age program opens
// alone. In mode aes-gcm a run has one data key of 32 random bytes, which is
// wrapped for each recipient, and every file is
//
//	nonce(12) || chunks
//
// where a chunk is AES-256-GCM over 64 KiB of plaintext, the last one shorter, with
// a key of the file's own:
//
//	key   = HKDF-SHA256(data key, salt = nonce, info = "stella-export/v1" LF AAD)
//	AAD   = <run id> ":" <path>, the same for every chunk
//	nonce = 11 bytes of big-endian chunk number || 0x01 for the last chunk, else 0x00
//
// This is the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015) as age
// has it. A chunk opens at its own place, in its own file, of its own run, or not at
// all; a file without its last chunk has none, and one with bytes behind it has
// another. Nothing is given out that was not authenticated.
//
// Nothing here falls back to plaintext: who has no usable recipient gets an error.
package sealed

package export

import (
	"bytes"
	"crypto/sha256"
	"math/big"
)

// Sample keeps a part of the documents, the same ones in every run that asks for
// it: which, follows from their ids.
type Sample struct {
	Rate   float64 `json:"rate"` // of all, 0 to 1
	Seed   string  `json:"seed"` // another seed keeps others
	Method string  `json:"method"`
}

// SampleHash is the one method there is (CONTRACT section 7).
const SampleHash = "hash"

// Limit is what the SHA-256 of a kept document's seed, line feed and id is below,
// both read as big-endian numbers: the least whole number that is not below
// Rate * 2^256. all is true, and there is no limit, at a rate of 1.
func (s Sample) Limit() (limit [sha256.Size]byte, all bool) {
	if s.Rate >= 1 {
		return limit, true
	}
	scaled := new(big.Float).SetMantExp(new(big.Float).SetFloat64(s.Rate), 8*sha256.Size) // exact
	whole, accuracy := scaled.Int(nil)
	if accuracy != big.Exact {
		whole.Add(whole, big.NewInt(1))
	}
	whole.FillBytes(limit[:])
	return limit, false
}

// Keeps reports whether the sample has the document with that id of its own.
func (s Sample) Keeps(id string) bool {
	limit, all := s.Limit()
	sum := sha256.Sum256([]byte(s.Seed + "\n" + id))
	return all || bytes.Compare(sum[:], limit[:]) < 0
}

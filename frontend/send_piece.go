package frontend

import (
	"io"
	"sync"
)

const (
	// largePiece is how much of a long answer is sent at a time: a system call per
	// 256 KiB costs a third of one per 32 KiB, which is what io.Copy takes.
	largePiece = 256 << 10
	smallPiece = 32 << 10
	// maxLargePieces is how many answers send in such pieces at a time, 16 MiB together.
	maxLargePieces = 64
)

var (
	largePieces = make(chan struct{}, maxLargePieces) // those in use
	spareLarge  = sync.Pool{New: func() any { return new([largePiece]byte) }}
	spareSmall  = sync.Pool{New: func() any { return new([smallPiece]byte) }}
)

// sendPiece is a buffer for an answer, which is given back by done. Short answers, and
// those for which there is no large one left, have a small one.
func sendPiece(from io.Reader) (piece []byte, done func()) {
	if limited, ok := from.(*io.LimitedReader); !ok || limited.N > smallPiece {
		select {
		case largePieces <- struct{}{}:
			large := spareLarge.Get().(*[largePiece]byte)
			return large[:], func() { spareLarge.Put(large); <-largePieces }
		default:
		}
	}
	small := spareSmall.Get().(*[smallPiece]byte)
	return small[:], func() { spareSmall.Put(small) }
}

package verify_test

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// frameMutations are zstd frames that a decoder may take and a bundle may not
// have, in a bundle signed by the right key (RFC 8878 section 3.1.1).
func frameMutations() []mutation {
	stored := func(name string, reason verify.Reason, change func([]byte) []byte) mutation {
		return mutation{name: "signed frame: " + name, class: verify.ClassContent, reason: reason, path: firstShard,
			options: &bundletest.Options{Payload: func(path string, b []byte) []byte {
				if path != firstShard {
					return b
				}
				return change(slices.Clone(b))
			}}}
	}
	frame := func(name string, change func([]byte) []byte) mutation {
		return stored(name, verify.ReasonFrame, change)
	}
	whole := func(name string, b ...byte) mutation { return frame(name, func([]byte) []byte { return b }) }
	// block is a block header: the last one, its kind and size.
	block := func(kind, size uint32) []byte {
		return binary.LittleEndian.AppendUint32(nil, size<<3|kind<<1|1)[:3]
	}
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	// window asks for one of 2^(10+exponent) bytes.
	window := func(exponent byte) []byte {
		return slices.Concat(magic, []byte{0x04, exponent << 3}, block(0, 2), []byte("x\n"))
	}
	skippable := func(size uint32) []byte {
		return binary.LittleEndian.AppendUint32([]byte{0x5f, 0x2a, 0x4d, 0x18}, size)
	}
	return []mutation{
		frame("window of 16 MiB", func([]byte) []byte { return window(14) }), frame("window of 2 GiB", func([]byte) []byte { return window(21) }),
		frame("window of 2 TiB", func([]byte) []byte { return window(31) }),
		frame("reserved bit", func(b []byte) []byte { b[4] |= 0x08; return b }), frame("unused bit", func(b []byte) []byte { b[4] |= 0x10; return b }),
		frame("dictionary 0 named", func(b []byte) []byte { b[4] |= 1; return slices.Insert(b, 5, 0) }),
		frame("checksum flag off and no checksum", func(b []byte) []byte { b[4] &^= 4; return b[:len(b)-4] }),
		frame("checksum flag off", func(b []byte) []byte { b[4] &^= 4; return b }),
		frame("checksum of zeros", func(b []byte) []byte { clear(b[len(b)-4:]); return b }),
		frame("checksum cut", func(b []byte) []byte { return b[:len(b)-4] }),
		frame("reserved block type", func([]byte) []byte { return slices.Concat(magic, []byte{0x04, 0}, block(3, 1), []byte{0}) }),
		frame("block beyond 128 KiB", func([]byte) []byte {
			return slices.Concat(magic, []byte{0x04, 0x50}, block(0, 200_000), make([]byte, 200_004))
		}),
		frame("content size too small", func([]byte) []byte {
			return slices.Concat(magic, []byte{0x24, 1}, block(0, 2), []byte("x\n"), make([]byte, 4))
		}),
		frame("content size of 2^64 - 1", func([]byte) []byte {
			return slices.Concat(magic, []byte{0xe4}, bytes.Repeat([]byte{0xff}, 8), block(0, 2), []byte("x\n"), make([]byte, 4))
		}),
		frame("content size of 8 EiB in one segment", func([]byte) []byte {
			return slices.Concat(magic, []byte{0xe4}, bytes.Repeat([]byte{0xff}, 7), []byte{0x7f}, block(1, 1<<20), []byte("x"), make([]byte, 4))
		}),
		frame("of nothing", func([]byte) []byte { return compress([]byte{}) }),
		frame("nothing but a checksum", func([]byte) []byte { return slices.Concat(magic, []byte{0x04, 0}, block(0, 0), make([]byte, 4)) }),
		frame("an empty frame behind", func(b []byte) []byte { return append(b, compress([]byte{})...) }),
		frame("an empty frame before", func(b []byte) []byte { return append(compress([]byte{}), b...) }),
		frame("1,000 frames", func(b []byte) []byte { return bytes.Repeat(b, 1000) }),
		frame("skippable frame of 4 GiB", func([]byte) []byte { return skippable(0xffffffff) }),
		frame("skippable frame behind, with content", func(b []byte) []byte { return append(append(b, skippable(4)...), "evil"...) }),
		frame("zeros behind", func(b []byte) []byte { return append(b, make([]byte, 512)...) }),
		frame("each line a frame", func(b []byte) []byte {
			var out []byte
			for _, line := range bytes.SplitAfter(decompress(b), []byte("\n")) {
				out = append(out, compress(line)...)
			}
			return out
		}),
		frame("bare lines", decompress), whole("of version 0.7", 0x27, 0xb5, 0x2f, 0xfd, 0, 0), whole("gzip", 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0),
		whole("xz", 0xfd, '7', 'z', 'X', 'Z', 0), whole("a bare magic number", magic...), whole("one byte", 0x28),
		stored("bomb of runs, 1 GiB", verify.ReasonContentSize, func([]byte) []byte {
			out := slices.Concat(magic, []byte{0x04, 0x38})
			for range 1 << 13 {
				out = append(out, binary.LittleEndian.AppendUint32(nil, 128<<10<<3|1<<1)[:3]...)
				out = append(out, 'x')
			}
			return append(out, append(block(0, 0), 0, 0, 0, 0)...)
		}),
		stored("content in capitals", verify.ReasonContent, func(b []byte) []byte { return compress(bytes.ToUpper(decompress(b))) }),
		stored("one line more", verify.ReasonContentSize, func(b []byte) []byte { c := decompress(b); return compress(append(c, "{}\n"...)) }),
		stored("one line fewer", verify.ReasonContentSize, func(b []byte) []byte { c := decompress(b); return compress(c[bytes.IndexByte(c, '\n')+1:]) }),
		stored("lines exchanged", verify.ReasonContent, func(b []byte) []byte {
			lines := bytes.SplitAfter(decompress(b), []byte("\n"))
			slices.Reverse(lines)
			return compress(bytes.Join(lines, nil))
		}),
		stored("two lines made one", verify.ReasonContent, func(b []byte) []byte { c := decompress(b); c[bytes.IndexByte(c, '\n')] = ' '; return compress(c) }),
	}
}

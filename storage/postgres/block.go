package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/s2"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// Documents are kept in blocks: neighbours in the export's order, together,
// compressed (docs/decisions/0005). A block is a byte that names its form, the
// CRC-32C of the content, and the content in S2: as a block, or as a stream when
// it is large. The content is a row of records; a document's slot is its place
// in the row.
//
// A block of records has an even number. The originals of the same documents,
// when one of them differs from its canonical form, are in the block with the
// next number: in each slot the original, or nothing when it is the canonical
// form.

// blockBytes is the content at which a block is full: small enough to read one
// document, large enough to compress and to be one row.
const blockBytes = 32 << 10

// maxBlock bounds the content of a block that is read: one document of the
// greatest size, whose canonical form may be longer than the original.
const maxBlock = 8 * ledger.MaxDocument

const (
	formBlock  = 1 // S2 block
	formStream = 2 // S2 stream
	blockHead  = 1 + 4
)

// largeBlock is the content from which on a block is a stream: it is written
// from its parts and read into one piece, and nowhere held twice.
const largeBlock = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealBlock gives the stored form of content.
func sealBlock(content []byte) []byte {
	head := make([]byte, blockHead, blockHead+s2.MaxEncodedLen(len(content)))
	head[0] = formBlock
	binary.BigEndian.PutUint32(head[1:], crc32.Checksum(content, castagnoli))
	encoded := s2.Encode(head[blockHead:cap(head)], content)
	return head[:blockHead+len(encoded)]
}

// openBlock gives the content of a stored block, in dst if it has room. What is
// not what was stored is storage.ErrCorrupt.
func openBlock(dst, stored []byte) ([]byte, error) {
	if len(stored) < blockHead || stored[0] != formBlock && stored[0] != formStream {
		return nil, corruptBlock("unknown form")
	}
	if stored[0] == formStream {
		return openStream(stored)
	}
	size, err := s2.DecodedLen(stored[blockHead:])
	if err != nil || size > maxBlock {
		return nil, corruptBlock("impossible size")
	}
	content, err := s2.Decode(dst[:cap(dst)], stored[blockHead:])
	if err != nil {
		return nil, corruptBlock(err.Error())
	}
	if crc32.Checksum(content, castagnoli) != binary.BigEndian.Uint32(stored[1:]) {
		return nil, corruptBlock("the checksum differs")
	}
	return content, nil
}

// sealStream gives the stored form of a large content, which comes in parts.
func sealStream(parts ...[]byte) ([]byte, error) {
	var out bytes.Buffer
	out.Write(make([]byte, blockHead))
	w := s2.NewWriter(&out, s2.WriterConcurrency(1))
	sum := uint32(0)
	for _, part := range parts {
		sum = crc32.Update(sum, castagnoli, part)
		if _, err := w.Write(part); err != nil {
			return nil, fmt.Errorf("write a block: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write a block: %w", err)
	}
	stored := out.Bytes()
	stored[0] = formStream
	binary.BigEndian.PutUint32(stored[1:], sum)
	return stored, nil
}

func openStream(stored []byte) ([]byte, error) {
	r := s2.NewReader(bytes.NewReader(stored[blockHead:]), s2.ReaderMaxBlockSize(1<<20))
	size, sum := 0, uint32(0)
	// Twice, so that the content is made once, in its size: once to learn it.
	for buffer := make([]byte, 64<<10); ; {
		n, err := r.Read(buffer)
		size, sum = size+n, crc32.Update(sum, castagnoli, buffer[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, corruptBlock(err.Error())
		}
		if size > maxBlock {
			return nil, corruptBlock("impossible size")
		}
	}
	if sum != binary.BigEndian.Uint32(stored[1:]) {
		return nil, corruptBlock("the checksum differs")
	}
	r.Reset(bytes.NewReader(stored[blockHead:]))
	content := make([]byte, size)
	if _, err := io.ReadFull(r, content); err != nil {
		return nil, corruptBlock(err.Error())
	}
	return content, nil
}

func corruptBlock(what string) error {
	return fmt.Errorf("a block of documents is damaged: %s: %w", what, storage.ErrCorrupt)
}

// eachSlot calls yield with what is in every slot of a block's content.
func eachSlot(content []byte, yield func(slot int32, record []byte) error) error {
	for slot := int32(0); len(content) > 0; slot++ {
		size, n := binary.Uvarint(content)
		if n <= 0 || size > uint64(len(content)-n) {
			return corruptBlock("a record does not fit into it")
		}
		if err := yield(slot, content[n:n+int(size)]); err != nil {
			return err
		}
		content = content[n+int(size):]
	}
	return nil
}

// slotOf gives what is in one slot.
func slotOf(content []byte, wanted int32) ([]byte, error) {
	var found []byte
	err := eachSlot(content, func(slot int32, record []byte) error {
		if slot == wanted {
			found = record
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return found, nil
	}
	if err == nil {
		err = corruptBlock(fmt.Sprintf("it has no slot %d", wanted))
	}
	return nil, err
}

var errFound = errors.New("found")

// appendTelling appends the record of o up to its canonical form, which ends it:
// what an export tells about it.
func appendTelling(dst []byte, o *ledger.Observation) []byte {
	dst = append(dst, o.Digest[:]...)
	dst = binary.AppendUvarint(dst, uint64(len(o.Raw)))
	for _, text := range [...]string{string(o.Kind), o.Format, o.Source, o.Stream, o.UpstreamID, o.Modified, o.Subject} {
		dst = appendText(dst, text)
	}
	for _, list := range [...][]string{o.Ecosystems, o.Products, o.Aliases} {
		dst = binary.AppendUvarint(dst, uint64(len(list)))
		for _, text := range list {
			dst = appendText(dst, text)
		}
	}
	return dst
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// readRecord reads a record into line; line's slices share the record's bytes
// or line's own.
func readRecord(record []byte, line *ledger.Line) error {
	r := recordReader{rest: record}
	if r.fail = len(record) < len(line.Digest); r.fail {
		return corruptBlock("a record is too short")
	}
	line.Digest = bundle.Digest(record[:len(line.Digest)])
	r.rest = record[len(line.Digest):]
	line.RawBytes = int64(r.number())
	r.text((*string)(&line.Kind))
	for _, text := range [...]*string{&line.Format, &line.Source, &line.Stream, &line.UpstreamID, &line.Modified, &line.Subject} {
		r.text(text)
	}
	for _, list := range [...]*[]string{&line.Ecosystems, &line.Products, &line.Aliases} {
		r.list(list)
	}
	if r.fail {
		return corruptBlock("a record cannot be read")
	}
	line.Canonical = r.rest
	line.CanonicalBytes = int64(len(r.rest))
	return nil
}

// recordReader takes a record apart. After a failure it gives nothing more.
type recordReader struct {
	rest []byte
	fail bool
}

func (r *recordReader) number() uint64 {
	number, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return number
}

func (r *recordReader) bytes() []byte {
	size := r.number()
	if size > uint64(len(r.rest)) {
		r.fail, r.rest = true, nil
		return nil
	}
	taken := r.rest[:size]
	r.rest = r.rest[size:]
	return taken
}

// text keeps the string that is there when it is the same: neighbours share
// format, kind, source and stream.
func (r *recordReader) text(s *string) {
	if b := r.bytes(); *s != string(b) {
		*s = string(b)
	}
}

func (r *recordReader) list(list *[]string) {
	old := *list
	*list = old[:0]
	for n := r.number(); n > 0 && !r.fail; n-- {
		var text string
		if k := len(*list); k < len(old) {
			text = old[k]
		}
		r.text(&text)
		*list = append(*list, text)
	}
}

// block is a block to be stored.
type block struct {
	number int64
	stored []byte
}

// blockNumber is the number of the nth block of a segment: of one import batch.
func blockNumber(segment int64, nth int) int64 { return segment<<17 | int64(nth)<<1 }

// originalsOf is the number of the block beside a block of records.
func originalsOf(block int64) int64 { return block + 1 }

// maxBlocks is how many blocks a segment may have.
const maxBlocks = 1 << 16

// packBlocks packs documents, which are in the export's order, into blocks and
// tells where each is.
func packBlocks(segment int64, documents []*ledger.Observation) ([]block, []ledger.Place, error) {
	p := blockPacker{segment: segment}
	places := make([]ledger.Place, len(documents))
	for i, o := range documents {
		if p.slots > 0 && len(p.records)+max(len(o.Canonical), len(o.Raw)) > blockBytes {
			p.flush()
		}
		places[i] = ledger.Place{Block: blockNumber(segment, p.nth), Slot: p.slots}
		if len(o.Canonical) < largeBlock && len(o.Raw) < largeBlock {
			p.add(o)
		} else if err := p.addLarge(o); err != nil {
			return nil, nil, err
		}
	}
	p.flush()
	if p.nth > maxBlocks {
		return nil, nil, fmt.Errorf("a batch has %d blocks, at most %d fit", p.nth, maxBlocks)
	}
	return p.blocks, places, nil
}

type blockPacker struct {
	segment            int64
	nth                int
	blocks             []block
	records, originals []byte // contents of the open block and of its originals
	telling            []byte
	slots              int32
	differ             bool // an original differs from its canonical form
}

func (p *blockPacker) add(o *ledger.Observation) {
	p.telling = appendTelling(p.telling[:0], o)
	p.records = binary.AppendUvarint(p.records, uint64(len(p.telling)+len(o.Canonical)))
	p.records = append(append(p.records, p.telling...), o.Canonical...)
	original := originalOf(o)
	p.differ = p.differ || original != nil
	p.originals = append(binary.AppendUvarint(p.originals, uint64(len(original))), original...)
	p.slots++
}

// originalOf is nil when the original is its own canonical form.
func originalOf(o *ledger.Observation) []byte {
	if bytes.Equal(o.Raw, o.Canonical) {
		return nil
	}
	return o.Raw
}

// addLarge makes blocks of one document; nothing that large stands behind
// another.
func (p *blockPacker) addLarge(o *ledger.Observation) error {
	telling := appendTelling(nil, o)
	records, err := sealStream(binary.AppendUvarint(nil, uint64(len(telling)+len(o.Canonical))), telling, o.Canonical)
	if err != nil {
		return err
	}
	number := blockNumber(p.segment, p.nth)
	p.blocks = append(p.blocks, block{number, records})
	if original := originalOf(o); original != nil {
		originals, err := sealStream(binary.AppendUvarint(nil, uint64(len(original))), original)
		if err != nil {
			return err
		}
		p.blocks = append(p.blocks, block{originalsOf(number), originals})
	}
	p.nth++
	return nil
}

func (p *blockPacker) flush() {
	if p.slots == 0 {
		return
	}
	number := blockNumber(p.segment, p.nth)
	p.blocks = append(p.blocks, block{number, sealBlock(p.records)})
	if p.differ {
		p.blocks = append(p.blocks, block{originalsOf(number), sealBlock(p.originals)})
	}
	p.nth++
	p.records, p.originals, p.slots, p.differ = p.records[:0], p.originals[:0], 0, false
}

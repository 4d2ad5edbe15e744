package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// What documents can be selected by is kept in pages (docs/decisions/0008). A
// page has a part of the terms of one import batch on one axis, in order, and
// the documents that have each. A term is written as the number of bytes it
// shares with the one before, the length of the rest, and the rest; behind it
// the number of documents, and each as the difference to the one before it;
// all numbers are varints. Documents count from the row's base: base + n is a
// document's sequence. A page begins with a byte that names its form and the
// CRC-32C of the rest: one that lost a byte would otherwise be a selection that
// lost a document.

// Axes of ledger_terms.
const (
	axisProduct   = "product"
	axisEcosystem = "ecosystem"
	axisAlias     = "alias"
)

// pageBytes is the content at which a page is full.
const pageBytes = 4 << 10

const formPage = 1

// maxPageTerm bounds a term that is read.
const maxPageTerm = 4 * ledger.MaxTerm

// termPage is a row of ledger_terms.
type termPage struct {
	axis        string
	nth         int16  // of the axis, in this batch
	first, last string // its terms
	data        []byte
}

// posting says that the nth document, from 1, has a term.
type posting struct {
	term string
	n    int32
}

// termPages makes the pages of a batch. Documents are given in the order of
// their sequences.
func termPages(documents []*ledger.Observation) []termPage {
	var pages []termPage
	for _, axis := range [...]struct {
		name string
		of   func(*ledger.Observation) []string
	}{
		{axisAlias, func(o *ledger.Observation) []string { return o.Aliases }},
		{axisEcosystem, func(o *ledger.Observation) []string { return o.Ecosystems }},
		{axisProduct, func(o *ledger.Observation) []string { return o.Products }},
	} {
		var postings []posting
		for i, o := range documents {
			for _, term := range axis.of(o) {
				postings = append(postings, posting{term, int32(i) + 1})
			}
		}
		slices.SortFunc(postings, func(a, b posting) int {
			if a.term != b.term {
				return strings.Compare(a.term, b.term)
			}
			return int(a.n - b.n)
		})
		pages = append(pages, pagesOf(axis.name, postings)...)
	}
	return pages
}

func pagesOf(axis string, postings []posting) (pages []termPage) {
	for len(postings) > 0 {
		page := termPage{axis: axis, nth: int16(len(pages)), first: postings[0].term, data: make([]byte, blockHead)}
		for len(postings) > 0 && len(page.data) < pageBytes {
			n := 1
			for n < len(postings) && postings[n].term == postings[0].term {
				n++
			}
			page.data = appendPostings(page.data, page.last, postings[:n])
			page.last, postings = postings[0].term, postings[n:]
		}
		page.data[0] = formPage
		binary.BigEndian.PutUint32(page.data[1:], crc32.Checksum(page.data[blockHead:], castagnoli))
		pages = append(pages, page)
	}
	return pages
}

func appendPostings(dst []byte, before string, same []posting) []byte {
	term, shared := same[0].term, 0
	for shared < min(len(before), len(term)) && before[shared] == term[shared] {
		shared++
	}
	dst = binary.AppendUvarint(dst, uint64(shared))
	dst = appendText(dst, term[shared:])
	dst = binary.AppendUvarint(dst, uint64(len(same)))
	last := int32(0)
	for _, p := range same {
		dst = binary.AppendUvarint(dst, uint64(p.n-last))
		last = p.n
	}
	return dst
}

// eachTerm calls yield with the terms of a page and the documents of each; both
// are valid until it returns.
func eachTerm(data []byte, yield func(term []byte, documents []int64)) error {
	if len(data) < blockHead || data[0] != formPage || crc32.Checksum(data[blockHead:], castagnoli) != binary.BigEndian.Uint32(data[1:]) {
		return corruptPage()
	}
	return eachPosting(data[blockHead:], yield)
}

// eachPosting reads what is in a page. Terms rise, and so do the documents of
// each: whatever else it holds was not written by us.
func eachPosting(data []byte, yield func(term []byte, documents []int64)) error {
	r := recordReader{rest: data}
	var term, before []byte
	var documents []int64
	for len(r.rest) > 0 {
		shared := r.number()
		if shared > uint64(len(term)) {
			return corruptPage()
		}
		before = append(before[:0], term...)
		if term = append(term[:shared], r.bytes()...); len(term) > maxPageTerm || bytes.Compare(before, term) >= 0 {
			return corruptPage()
		}
		documents = documents[:0]
		last := int64(0)
		for n := r.number(); n > 0 && !r.fail; n-- {
			rise := r.number()
			if rise < 1 || rise > maxBatch {
				return corruptPage()
			}
			last += int64(rise)
			documents = append(documents, last)
		}
		if r.fail || last < 1 || last > maxBatch {
			return corruptPage()
		}
		yield(term, documents)
	}
	return nil
}

func corruptPage() error {
	return fmt.Errorf("a page of terms is damaged: %w", storage.ErrCorrupt)
}

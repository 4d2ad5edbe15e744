package bundle

import "unsafe"

// member is one member of an open object, by its positions in canonizer.out.
// 32 bits suffice: MaxDocumentBytes of input never write 4 GiB.
type member struct {
	start, end uint32 // of "key":value
	keyEnd     uint32 // just after the key's closing quote, less that quote
	keyAt      uint32 // offset in canonizer.keys plus 1, 0 if the key has no escapes
	keyLen     uint32 // of the decoded key in canonizer.keys
	at         uint32 // of the key in the input, for messages
	firstMove  uint32 // moves inside the value: from here
	endMove    uint32 // to here
}

const memberSize = int(unsafe.Sizeof(member{}))

func (c *canonizer) object() error {
	if err := c.enter('{'); err != nil {
		return err
	}
	if c.skip() == '}' {
		c.leave('}')
		return nil
	}
	first, keys, body, moves := len(c.members), len(c.keys), len(c.out), len(c.moves)
	sorted := true
	for {
		inOrder, err := c.member(first)
		if err != nil {
			return err
		}
		sorted = sorted && inOrder
		if c.skip() == ',' {
			c.pos++
			c.out = append(c.out, ',')
			continue
		}
		if c.skip() != '}' {
			return c.unexpected("',' or '}'")
		}
		break
	}
	if !sorted {
		if err := c.reorder(first, body, moves); err != nil {
			return err
		}
	}
	c.members, c.keys = c.members[:first], c.keys[:keys]
	c.leave('}')
	return nil
}

// member reads one "key": value and reports whether it comes after the
// member before it.
func (c *canonizer) member(first int) (inOrder bool, err error) {
	if c.skip() != '"' {
		return false, c.unexpected("a key")
	}
	m := member{start: uint32(len(c.out)), at: uint32(c.pos), firstMove: uint32(len(c.moves))}
	escaped, err := c.text()
	if err != nil {
		return false, err
	}
	m.keyEnd = uint32(len(c.out) - 1)
	if escaped {
		m.keyAt = uint32(len(c.keys) + 1)
		c.keys = appendDecoded(c.keys, c.out[m.start+1:m.keyEnd])
		m.keyLen = uint32(len(c.keys)) - (m.keyAt - 1)
	}
	inOrder = true
	if last := len(c.members) - 1; last >= first {
		order := compareUTF16(c.key(&c.members[last]), c.key(&m))
		if order == 0 {
			return false, c.duplicate(m.at, c.key(&m))
		}
		inOrder = order < 0
	}
	if c.skip() != ':' {
		return false, c.unexpected("':'")
	}
	c.pos++
	c.out = append(c.out, ':')
	at := len(c.members)
	c.members = append(c.members, m)
	if err := c.value(); err != nil {
		return false, err
	}
	c.members[at].end, c.members[at].endMove = uint32(len(c.out)), uint32(len(c.moves))
	return inOrder, nil
}

func (c *canonizer) key(m *member) []byte {
	if m.keyAt > 0 {
		return c.keys[m.keyAt-1 : m.keyAt-1+m.keyLen]
	}
	return c.out[m.start+1 : m.keyEnd]
}

func (c *canonizer) duplicate(at uint32, key []byte) error {
	return c.fail(int(at), "duplicate key %.80q", key)
}

// compareUTF16 orders valid UTF-8 texts by their UTF-16 code units (RFC 8785
// section 3.2.3). That is the order of the bytes, except that characters
// beyond U+FFFF, which UTF-16 writes with surrogates (D800..DFFF), come before
// U+E000..U+FFFF.
func compareUTF16(a, b []byte) int {
	n := min(len(a), len(b))
	for i := 0; i < n; i++ {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x >= 0xee && y >= 0xee && (x >= 0xf0) != (y >= 0xf0) {
			x, y = y, x
		}
		return int(x) - int(y)
	}
	return len(a) - len(b)
}

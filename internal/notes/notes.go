// Package notes keeps what a reader leaves out of a document, in words for a
// person: the first of it, and how much more there is.
package notes

import "fmt"

// most bounds the notes about one document; one more counts the rest.
const most = 100

// List is what one reader leaves out. The zero value is empty.
type List struct {
	said []string
	all  int
}

// Leave notes what is left out.
func (l *List) Leave(format string, args ...any) {
	if l.all++; l.all <= most {
		l.said = append(l.said, fmt.Sprintf(format, args...))
	}
}

// Notes gives what was noted; nil when nothing was left out.
func (l *List) Notes() []string {
	if more := l.all - most; more > 0 {
		return append(l.said[:most:most], fmt.Sprintf("and %d more", more))
	}
	return l.said
}

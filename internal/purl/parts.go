package purl

import (
	"net/url"
	"strings"
)

// Parts are those of a package URL, decoded.
type Parts struct {
	Type       string // lower case
	Namespace  string // segments joined by "/"
	Name       string
	Version    string
	Qualifiers map[string]string // nil without any; the first of two equal keys
}

// Split takes a package URL apart, in the order of purl-spec "How to parse a
// purl". ok is false for what is none.
func Split(text string) (p Parts, ok bool) {
	rest, ok := strings.CutPrefix(text, Scheme)
	if !ok {
		return p, false
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	p.Type, rest, ok = strings.Cut(strings.TrimLeft(rest, "/"), "/")
	if p.Type = strings.ToLower(p.Type); !ok || p.Type == "" {
		return p, false
	}
	// A version follows the last @ behind the last slash; "%40scope" is no such @,
	// and a bare "@scope/name" has its @ before the slash.
	if at := strings.LastIndexByte(rest, '@'); at > 0 && at > strings.LastIndexByte(rest, '/') {
		if p.Version, ok = decode(rest[at+1:]); !ok {
			return p, false
		}
		rest = rest[:at]
	} else if at > 0 && rest[at-1] != '/' { // a version with a slash that nobody encoded
		if p.Version, ok = decode(rest[at+1:]); !ok {
			return p, false
		}
		rest = rest[:at]
	}
	rest = strings.Trim(rest, "/")
	slash := strings.LastIndexByte(rest, '/')
	if p.Name, ok = decode(rest[slash+1:]); !ok || p.Name == "" {
		return p, false
	}
	if slash > 0 {
		if p.Namespace, ok = decode(rest[:slash]); !ok {
			return p, false
		}
	}
	ok = p.qualify(query) // before p is copied
	return p, ok
}

func (p *Parts) qualify(query string) bool {
	for part := range strings.SplitSeq(query, "&") {
		key, value, found := strings.Cut(part, "=")
		if !found || key == "" || value == "" {
			continue
		}
		value, ok := decode(value)
		if !ok {
			return false
		}
		if p.Qualifiers == nil {
			p.Qualifiers = map[string]string{}
		}
		if key = strings.ToLower(key); p.Qualifiers[key] == "" {
			p.Qualifiers[key] = value
		}
	}
	return true
}

// decode decodes percent-encoding; a plus is a plus.
func decode(text string) (string, bool) {
	if !strings.Contains(text, "%") {
		return text, true
	}
	plain, err := url.PathUnescape(text)
	return plain, err == nil
}

// PackageName is the name of the package in its ecosystem's own form, as OSV
// writes it: "@scope/name", "group:artifact", "github.com/a/b".
func (p Parts) PackageName() string {
	switch {
	case p.Namespace == "":
		return p.Name
	case p.Type == "maven":
		return p.Namespace + ":" + p.Name
	case p.Type == "deb", p.Type == "rpm", p.Type == "apk", p.Type == "alpm": // the namespace is the distribution
		return p.Name
	}
	return p.Namespace + "/" + p.Name
}

// Bare is the package URL up to its name: without version, qualifiers and
// subpath, as it was written.
func Bare(text string) string {
	text, _, _ = strings.Cut(text, "#")
	text, _, _ = strings.Cut(text, "?")
	if at := strings.LastIndexByte(text, '@'); at > 0 && text[at-1] != '/' && at > strings.IndexByte(text, '/') {
		return text[:at]
	}
	return text
}

// WithVersion is a package URL with another version, everything else as written.
func WithVersion(text, version string) string {
	bare := Bare(text)
	rest := text[len(bare):]
	if strings.HasPrefix(rest, "@") {
		if end := strings.IndexAny(rest, "?#"); end >= 0 {
			rest = rest[end:]
		} else {
			rest = ""
		}
	}
	return bare + "@" + encodeSegment(version) + rest
}

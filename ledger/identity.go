package ledger

import "bytes"

// Identity names a document within a project: its revisions share it
// (CONTRACT ruling 1).
type Identity struct {
	Project    string
	Kind       Kind
	Source     string
	Stream     string
	UpstreamID string
}

// Identity is the document o is a revision of.
func (o Observation) Identity() Identity {
	return Identity{
		Project: ProjectName(o.Project), Kind: o.Kind,
		Source: o.Source, Stream: o.Stream, UpstreamID: o.UpstreamID,
	}
}

// NoProject is how a tenant without projects is written (ruling 14).
const NoProject = "_"

// ProjectName gives NoProject for "".
func ProjectName(project string) string {
	if project == "" {
		return NoProject
	}
	return project
}

// Greater reports whether revision a of a document wins over revision b: the
// later modification, then the greater digest. It is a total order over
// different bytes, so the current revision is the same whatever came first.
func Greater(a, b Observation) bool {
	if a.Modified != b.Modified {
		return a.Modified > b.Modified
	}
	return bytes.Compare(a.Digest[:], b.Digest[:]) > 0
}

// Key is the document's place in an export as one string: kind, subject,
// upstream id, source and stream joined by line feeds. No field can hold a
// byte below the line feed's neighbours (Observation.Validate refuses control
// characters), so keys sort bytewise like the tuples. Shard boundaries and
// shard names are made of it: its form never changes.
func (r Row) Key() string { return string(r.AppendKey(nil)) }

// AppendKey appends the document's key to dst.
func (r *Row) AppendKey(dst []byte) []byte {
	dst = append(append(dst, r.Kind...), '\n')
	for _, member := range [...]string{r.Subject, r.UpstreamID, r.Source} {
		dst = append(append(dst, member...), '\n')
	}
	return append(dst, r.Stream...)
}

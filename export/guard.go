package export

// SourceCount is what one source gave a run: the guard holds it against what it gave
// the last one (docs/guard.md).
type SourceCount struct {
	Source string `json:"source"` // as given at import, as Stream
	Stream string `json:"stream,omitempty"`
	Kind   string `json:"kind"` // of its evidence
	// Documents that were selected, and Records of the result that come of them: a
	// withdrawn advisory is a document without a record.
	Documents int64 `json:"documents"`
	Records   int64 `json:"records"`
	// Newest is the greatest modification time of the documents, in
	// ledger.ModifiedLayout, which sorts as text; "" when none has one.
	Newest string `json:"newest,omitempty"`
}

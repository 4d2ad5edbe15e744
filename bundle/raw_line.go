package bundle

// RawLine is what a line of json:raw has behind its evidence (docs/formats/json-raw.md).
type RawLine struct {
	Format  string `json:"format"`
	Kind    string `json:"kind"`
	Linkset struct {
		Aliases    []string `json:"aliases"`
		Ecosystems []string `json:"ecosystems"`
		Products   []string `json:"products"`
	} `json:"linkset"`
	Modified string `json:"modified,omitempty"`
	Original struct {
		Bytes  int64  `json:"bytes"`
		Digest Digest `json:"digest"`
	} `json:"original"`
	Redaction *struct {
		DroppedFields int64  `json:"droppedFields"`
		PolicyID      string `json:"policyId"`
	} `json:"redaction,omitempty"`
	Source     string `json:"source"`
	Stream     string `json:"stream"`
	Subject    string `json:"subject,omitempty"`
	UpstreamID string `json:"upstreamId"`
}

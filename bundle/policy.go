package bundle

// Policy is what a manifest says of the decisions in its bundle: by which policy
// they were made, from what, and how.
type Policy struct {
	SnapshotID    string `json:"snapshotId"`
	PolicyVersion string `json:"policyVersion"` // what the pack's publisher calls it
	PackDigest    Digest `json:"packDigest"`
	// InputsHash is over the evidence that was decided on, in InputsHash's form.
	InputsHash Digest `json:"inputsHash"`
	// DecisionTrace is the SHA-256 of all lines of the decision trace, in order.
	DecisionTrace Digest `json:"decisionTrace"`
}

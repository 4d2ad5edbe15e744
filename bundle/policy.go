package bundle

import (
	"encoding/json"
	"fmt"
)

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

// PolicyOf reads those members from data/policy/snapshot.json, which has others
// besides.
func PolicyOf(snapshot []byte) (Policy, error) {
	var members map[string]json.RawMessage
	if _, err := Canonical(snapshot); err != nil {
		return Policy{}, fmt.Errorf("%s: %w", PolicySnapshotPath, err)
	}
	if err := json.Unmarshal(snapshot, &members); err != nil {
		return Policy{}, fmt.Errorf("%s: %w", PolicySnapshotPath, err)
	}
	var p Policy
	for name, into := range map[string]any{"snapshotId": &p.SnapshotID, "policyVersion": &p.PolicyVersion,
		"packDigest": &p.PackDigest, "inputsHash": &p.InputsHash, "decisionTrace": &p.DecisionTrace} {
		if members[name] == nil {
			return Policy{}, fmt.Errorf("%s: %s is missing", PolicySnapshotPath, name)
		}
		if err := json.Unmarshal(members[name], into); err != nil {
			return Policy{}, fmt.Errorf("%s: %s: %w", PolicySnapshotPath, name, err)
		}
	}
	return p, nil
}

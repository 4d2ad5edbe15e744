package export

// State is where a run stands (export_runs.status).
type State string

// Run states. Pending and running are under way, waiting holds for an approval
// without using a slot, the others are terminal and are never left, except
// that retention turns succeeded and partial into expired.
const (
	StatePending   State = "pending"
	StateRunning   State = "running"
	StateWaiting   State = "waiting"
	StateSucceeded State = "succeeded"
	StatePartial   State = "partial"
	StateFailed    State = "failed"
	StateAborted   State = "aborted"
	StateExpired   State = "expired"
)

// States lists every state.
var States = []State{
	StatePending, StateRunning, StateWaiting,
	StateSucceeded, StatePartial, StateFailed, StateAborted, StateExpired,
}

// Valid reports whether s is one of the states.
func (s State) Valid() bool {
	for _, known := range States {
		if s == known {
			return true
		}
	}
	return false
}

// Terminal reports whether a run in state s has ended.
func (s State) Terminal() bool {
	switch s {
	case StateSucceeded, StatePartial, StateFailed, StateAborted, StateExpired:
		return true
	}
	return false
}

// Downloadable reports whether a run in state s has a bundle to give.
func (s State) Downloadable() bool { return s == StateSucceeded || s == StatePartial }

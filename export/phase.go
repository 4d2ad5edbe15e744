package export

// Phase is one step of a run. The Go name, the workflow's activity and the
// event subject are the same word; logs, spans and metrics of the contract use
// other words, and this table is the only place where the two meet.
type Phase string

// The phases in the order in which a run walks through them.
const (
	PhasePlan         Phase = "plan"
	PhaseResolve      Phase = "resolve"
	PhaseAdapt        Phase = "adapt"
	PhaseGuard        Phase = "guard"
	PhaseManifest     Phase = "manifest"
	PhaseCompare      Phase = "compare" // of a rebuild, in place of the two that follow
	PhaseSign         Phase = "sign"
	PhaseDistribute   Phase = "distribute"
	PhaseEmitTimeline Phase = "emitTimeline"
)

// Phases lists all phases in order.
var Phases = []Phase{
	PhasePlan, PhaseResolve, PhaseAdapt, PhaseGuard, PhaseManifest, PhaseCompare, PhaseSign, PhaseDistribute, PhaseEmitTimeline,
}

// Words are the names a phase has outside the code (CONTRACT section 25).
type Words struct {
	// Log is the value of the log field "phase".
	Log string
	// Span is the name of the phase's trace span.
	Span string
}

var phaseWords = map[Phase]Words{
	PhasePlan:         {Log: "plan", Span: "export.plan"},
	PhaseResolve:      {Log: "resolve", Span: "export.fetch"},
	PhaseAdapt:        {Log: "adapter", Span: "export.write"},
	PhaseGuard:        {Log: "guard", Span: "export.guard"},
	PhaseManifest:     {Log: "manifest", Span: "export.write"},
	PhaseCompare:      {Log: "compare", Span: "export.compare"},
	PhaseSign:         {Log: "sign", Span: "export.sign"},
	PhaseDistribute:   {Log: "distribute", Span: "export.distribute"},
	PhaseEmitTimeline: {Log: "emitTimeline", Span: "export.run"},
}

// Words gives the contract's log and span words for p.
func (p Phase) Words() Words { return phaseWords[p] }

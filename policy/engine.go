package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/version"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// Action is what is to be done about a finding.
type Action string

// The actions, from the strictest on.
const (
	Block    Action = "block"    // what has the component must not be shipped
	Warn     Action = "warn"     // somebody must look at it
	Allow    Action = "allow"    // it is known and acceptable
	Suppress Action = "suppress" // it does not apply: not affected, or fixed
)

var actions = []Action{Block, Warn, Allow, Suppress}

// Decision is what a pack's rule must give: exactly these members.
type Decision struct {
	Action Action `json:"action"`
	// Reason is for people; it may not be empty.
	Reason string `json:"reason"`
	// Rules are the names of the rules that led to it, at least one; sorted and
	// unique if the pack gives a set, else in the pack's order.
	Rules []string `json:"rules"`
}

// Bounds of a decision, and how long one may take. The time bounds a pack that
// does not end, it is no part of any result: a decision that takes longer fails
// the run, and there is no other answer.
const (
	maxReason = 4096
	maxRules  = 100
	maxRule   = 200
	evalTime  = 10 * time.Second
)

// engine asks one pack.
type engine struct {
	query rego.PreparedEvalQuery
	limit time.Duration // of one decision
}

// EngineVersion is the version of Open Policy Agent that evaluates.
func EngineVersion() string { return version.Version }

func newEngine(ctx context.Context, p *Pack) (*engine, error) {
	compiler, err := p.compile()
	if err != nil {
		return nil, err
	}
	caps, err := capabilities()
	if err != nil {
		return nil, err
	}
	query, err := rego.New(
		// Written out once where its size is looked at, before it is made ours.
		rego.Query("decision = "+entryPoint+"; json.marshal(decision, _)"),
		rego.Compiler(compiler),
		rego.Capabilities(caps),
		rego.SetRegoVersion(ast.RegoV1),
		rego.Store(inmem.NewFromObject(p.data)),
		rego.StrictBuiltinErrors(true),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, refused("%s", told(err))
	}
	return &engine{query, evalTime}, nil
}

// decide asks for one finding. The input is its canonical JSON, which names it
// in errors. Undefined, several answers, another shape or a failing built-in
// function are errors: there is no default decision.
func (e *engine) decide(ctx context.Context, finding string, input []byte) (Decision, error) {
	var value any
	if err := json.Unmarshal(input, &value); err != nil {
		return Decision{}, fmt.Errorf("finding %s: %w", finding, err)
	}
	parsed, err := ast.InterfaceToValue(value)
	if err != nil {
		return Decision{}, fmt.Errorf("finding %s: %w", finding, err)
	}
	limited, cancel := context.WithTimeout(withBudget(ctx), e.limit)
	defer cancel()
	results, err := e.query.Eval(limited, rego.EvalParsedInput(parsed))
	switch {
	case ctx.Err() != nil:
		return Decision{}, ctx.Err()
	case err != nil && (limited.Err() != nil || topdown.IsCancel(err)):
		return Decision{}, undecided(finding, "the pack took longer than %s", e.limit)
	case err != nil:
		return Decision{}, undecided(finding, "the pack failed: %v", err)
	case len(results) == 0:
		return Decision{}, undecided(finding, "%s is undefined; give it a default", entryPoint)
	case len(results) > 1:
		return Decision{}, undecided(finding, "%s has %d values", entryPoint, len(results))
	}
	return readDecision(finding, results[0].Bindings["decision"])
}

// undecided makes the error of a finding without a decision.
func undecided(finding, format string, args ...any) error {
	return export.Errorf(export.CodePolicySnapshot, "finding %s: "+format, append([]any{finding}, args...)...)
}

func readDecision(finding string, value any) (Decision, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return Decision{}, undecided(finding, "the decision is not JSON: %v", err)
	}
	var d Decision
	if err := bundle.UnmarshalStrict(raw, &d); err != nil {
		return Decision{}, undecided(finding, `the decision %.200s must be {"action", "reason", "rules"}: %v`, raw, err)
	}
	if err := d.check(); err != nil {
		return Decision{}, undecided(finding, "the decision %.200s: %v", raw, err)
	}
	return d, nil
}

func (d Decision) check() error {
	switch {
	case !slices.Contains(actions, d.Action):
		return fmt.Errorf("action is %.40q; it must be one of %q", d.Action, actions)
	case d.Reason == "" || len(d.Reason) > maxReason:
		return fmt.Errorf("reason must have 1 to %d bytes", maxReason)
	case len(d.Rules) == 0 || len(d.Rules) > maxRules:
		return fmt.Errorf("rules must name 1 to %d rules", maxRules)
	}
	for _, rule := range d.Rules {
		if rule == "" || len(rule) > maxRule {
			return errors.New("rules has an empty or too long name")
		}
	}
	return nil
}

package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/export"
)

// Evaluate decides on all findings of the evidence, and writes the pack, the
// findings, the decision trace and the snapshot.
func Evaluate(ctx context.Context, in Input, out Output) (Result, error) {
	return evaluate(ctx, in, out, documentReaders())
}

func evaluate(ctx context.Context, in Input, out Output, read readers) (Result, error) {
	pack, err := ReadPack(in.Pack)
	if err != nil {
		return Result{}, err
	}
	asked, err := newEngine(ctx, pack)
	if err != nil {
		return Result{}, err
	}
	return newEvaluation(in, read, pack, asked).run(ctx, out)
}

func (e *evaluation) run(ctx context.Context, out Output) (_ Result, err error) {
	in := e.in
	defer func() { err = errors.Join(err, e.close()) }()
	if in.Engine != EngineOPA && in.Engine != EngineImported {
		return Result{}, export.Errorf(export.CodeValidation, "policy engine %.40q is none of %s and %s", in.Engine, EngineOPA, EngineImported)
	}
	for i, file := range in.Files {
		if err := readFile(ctx, file, e.take); err != nil {
			return Result{}, err
		}
		if in.Progress != nil {
			in.Progress(i + 1)
		}
	}
	if err := join(ctx, e.packages, e.compare); err != nil {
		return Result{}, err
	}
	if err := join(ctx, e.vulnerabilities, e.state); err != nil {
		return Result{}, err
	}
	if err := e.decideAll(ctx, out); err != nil {
		return Result{}, err
	}
	return e.finish(ctx, out)
}

// evaluation is one Evaluate.
type evaluation struct {
	in      Input
	readers readers
	pack    *Pack
	engine  *engine

	packages        *relation // affected packages and components, by ecosystem and package
	vulnerabilities *relation // statements and candidates, by vulnerability
	findings        *relation // candidates and their statements, by finding

	budget *budget // of the three

	evidence Evidence
	unread   Unread
	sources  sources
	result   results
}

func newEvaluation(in Input, read readers, pack *Pack, asked *engine) *evaluation {
	if in.Engine == "" {
		in.Engine = EngineOPA
	}
	if in.Memory <= 0 {
		in.Memory = DefaultMemory
	}
	room := newBudget(in.MaxScratch)
	return &evaluation{
		in: in, readers: read, pack: pack, engine: asked, budget: room,
		packages:        newRelation(in.Scratch, in.Memory, 2, room),
		vulnerabilities: newRelation(in.Scratch, in.Memory, 1, room),
		findings:        newRelation(in.Scratch, in.Memory, findingTexts, room),
		unread:          Unread{First: []string{}},
		sources:         sources{},
		result:          newResults(),
	}
}

func (e *evaluation) close() error {
	return errors.Join(e.packages.sorter.Close(), e.vulnerabilities.sorter.Close(), e.findings.sorter.Close())
}

// ids are the names of a vulnerability as they are compared: in upper case,
// each once.
func ids(id string, aliases []string) []string {
	all := make([]string, 0, 1+len(aliases))
	for _, name := range append([]string{id}, aliases...) {
		if name = strings.ToUpper(name); name != "" {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// names are those under which statements may speak of the advisory. The one
// vulnerability that an OSV document says is upstream of it counts: it is the
// same, seen by a distribution. Of several CVEs, or several upstream, a statement
// is about one only, and the advisory about all: they are not its names.
func (a *Advisory) names() []string {
	all := ids(a.ID, a.Aliases)
	if a.Format == "osv" && len(a.Upstream) == 1 {
		all = ids(a.ID, append(slices.Clone(a.Aliases), a.Upstream...))
	}
	isCVE := func(id string) bool { return strings.HasPrefix(id, "CVE-") }
	if first := slices.IndexFunc(all, isCVE); first < 0 || !slices.ContainsFunc(all[first+1:], isCVE) {
		return all
	}
	return slices.DeleteFunc(all, func(id string) bool { return isCVE(id) && id != strings.ToUpper(a.ID) })
}

// compare lets an affected package meet a component of that package.
func (e *evaluation) compare(a *affectedItem, c *componentItem) error {
	stream, doubt := sameModule(a, c)
	if skipsArch(a.Affected.Arches, c.Arch) || !stream {
		return nil
	}
	how, fixed, why := affects(a.Affected.Ecosystem, c.Version, &a.Affected, &a.listed)
	if how == unaffected {
		return nil
	}
	if doubt != "" {
		how, fixed, why = undetermined, nil, doubt
	}
	found := candidate{
		Advisory: a.Advisory, Component: c.Component, SBOM: c.SBOM,
		Match: Match{How: how, Fixed: list(fixed), Why: why, Packages: []Package{{a.Affected.Ecosystem, a.Affected.Name, c.Version}}},
	}
	key := found.findingKey()
	if err := e.findings.add(appendKey(key, leftSide), found); err != nil {
		return err
	}
	if e.evidence.Statements == 0 {
		return nil
	}
	about := subjectItem{
		Key: key, Purl: c.Component.Purl, Ref: c.Component.Ref, Directory: c.SBOM.Directory, Digest: c.SBOM.Digest,
		SBOMID: c.SBOM.ID, SBOMVersion: c.SBOMVersion, Subject: c.SBOM.Subject, Main: c.Main,
	}
	for _, id := range a.Advisory.names() {
		if err := e.vulnerabilities.add(appendKey(nil, id, rightSide), about); err != nil {
			return err
		}
	}
	return nil
}

// skipsArch reports whether a fix for some architectures says nothing about a
// component of another.
func skipsArch(arches []string, arch string) bool {
	return len(arches) > 0 && arch != "" && arch != "noarch" && arch != "all" && !slices.Contains(arches, arch)
}

// state lets a statement meet a candidate of the same vulnerability.
func (e *evaluation) state(s *statementItem, c *subjectItem) error {
	if !applies(s, c) {
		return nil
	}
	said := Statement{
		Document: s.Document, Action: s.Statement.Action, At: normalTime(s.Statement.At), Impact: s.Statement.Impact,
		Justification: s.Statement.Justification, Status: string(s.Statement.Status), Vulnerability: s.Statement.Vulnerability,
	}
	return e.findings.add(appendKey(append(bytes.Clone(c.Key), appendKey(nil, rightSide)...), precedence(&said)...), said)
}

// decideAll takes the candidates in order, each with its statements, and writes
// a finding and a trace for each.
func (e *evaluation) decideAll(ctx context.Context, out Output) error {
	writer := newWriter(ctx, e, out)
	var key, last []byte
	var current *pending
	for line, err := range e.findings.sorter.Sorted(ctx) {
		if err != nil {
			return err
		}
		if bytes.Equal(line, last) {
			continue // the same statement by another of its names
		}
		last = append(last[:0], line...)
		whole, payload, err := splitLine(line)
		if err != nil {
			return err
		}
		head, side, err := cutKey(whole, findingTexts)
		if err != nil {
			return err
		}
		if current != nil && !bytes.Equal(head, key) {
			if err := writer.write(current); err != nil {
				return err
			}
			current = nil
		}
		key = append(key[:0], head...)
		if current, err = current.take(side[0] == leftSide[0], payload); err != nil {
			return err
		}
	}
	if current != nil {
		if err := writer.write(current); err != nil {
			return err
		}
	}
	return writer.close()
}

// pending is a finding whose lines are being gathered.
type pending struct {
	candidate
	statements []Statement
	stated     int64
}

// take adds a line of the finding. Candidates come before statements.
func (p *pending) take(isCandidate bool, payload []byte) (*pending, error) {
	switch {
	case isCandidate:
		var c candidate
		if err := json.Unmarshal(payload, &c); err != nil {
			return nil, fmt.Errorf("read candidate: %w", err)
		}
		if p == nil {
			return &pending{candidate: c, statements: []Statement{}}, nil
		}
		if p.Decision != nil {
			return nil, export.Errorf(export.CodeValidation, "findings %s of source %s decides twice about %s of %s in %s; mend the list and import it again",
				c.Advisory.UpstreamID, c.Advisory.Source, c.Advisory.ID, c.Component.Purl, c.SBOM.Subject)
		}
		p.merge(c)
	case p == nil:
		return nil, export.Errorf(export.CodeInternal, "a VEX statement is about no finding")
	default:
		if p.stated++; len(p.statements) == maxStatements {
			return p, nil
		}
		var s Statement
		if err := json.Unmarshal(payload, &s); err != nil {
			return nil, fmt.Errorf("read statement: %w", err)
		}
		p.statements = append(p.statements, s)
	}
	return p, nil
}

// merge adds another way in which the same advisory is about the same component.
func (p *pending) merge(other candidate) {
	p.Advisory = worseOf(p.Advisory, other.Advisory)
	switch {
	case p.Match.How == undetermined && other.Match.How != undetermined:
		p.Match = other.Match
	case p.Match.How != undetermined && other.Match.How == undetermined:
	default:
		if other.Match.How == byVersion {
			p.Match.How = byVersion
		}
		p.Match.Fixed = union(p.Match.Fixed, other.Match.Fixed, strings.Compare)
		p.Match.Packages = union(p.Match.Packages, other.Match.Packages, comparePackages)
	}
}

func union[T comparable](a, b []T, compare func(T, T) int) []T {
	all := append(slices.Clone(a), b...)
	slices.SortFunc(all, compare)
	return slices.Compact(all)
}

func comparePackages(a, b Package) int {
	return strings.Compare(a.Ecosystem+"\n"+a.Name+"\n"+a.Version, b.Ecosystem+"\n"+b.Name+"\n"+b.Version)
}

// question is what the pack is asked.
func (p *pending) question() Question {
	q := Question{Advisory: p.Advisory, Component: p.Component, Match: p.Match, SBOM: p.SBOM, Statements: p.statements}
	if len(p.statements) > 0 {
		q.VEX = &p.statements[0]
	}
	return q
}

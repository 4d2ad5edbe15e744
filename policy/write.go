package policy

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// findingTexts is how many texts a finding's key has.
const findingTexts = 13

// Types of the files of lines, as bundle.PolicyShardPath names them.
const (
	findingsType = "findings"
	tracesType   = "decision-traces"
)

// writer asks the pack about each finding, in order, and writes the lines.
type writer struct {
	*evaluation
	ctx      context.Context
	findings shards
	traces   shards
	trace    hash.Hash // of all trace lines
}

func newWriter(ctx context.Context, e *evaluation, out Output) *writer {
	return &writer{
		evaluation: e, ctx: ctx, trace: sha256.New(),
		findings: shards{ctx: ctx, out: out, of: findingsType, longest: maxLine},
		traces:   shards{ctx: ctx, out: out, of: tracesType, longest: maxLine},
	}
}

func (w *writer) write(p *pending) error {
	id, err := p.findingID()
	if err != nil {
		return err
	}
	question := p.question()
	input, err := bundle.MarshalCanonical(question)
	if err != nil {
		return fmt.Errorf("finding %s: %w", id, err)
	}
	decision, err := w.decide(p, id, input)
	if err != nil {
		return err
	}
	trace, err := bundle.MarshalCanonical(Trace{FindingID: id, Input: question, Decision: decision, StatementCount: p.stated})
	if err != nil {
		return fmt.Errorf("finding %s: %w", id, err)
	}
	finding := p.finding(id, decision)
	line, err := bundle.MarshalCanonical(finding)
	if err != nil {
		return fmt.Errorf("finding %s: %w", id, err)
	}
	w.trace.Write(trace)
	w.trace.Write([]byte{'\n'})
	w.result.count(&finding, p)
	w.sources.finding(p.Advisory.Document, p.Match.How)
	key := p.boundaryKey()
	if err := errors.Join(w.findings.write(key, line), w.traces.write(key, trace)); err != nil {
		return fmt.Errorf("finding %s: %w", p.name(id), err)
	}
	return nil
}

// decide asks the pack, or takes what another engine decided.
func (w *writer) decide(p *pending, id string, input []byte) (Decision, error) {
	if p.Decision != nil {
		return *p.Decision, nil
	}
	return w.engine.decide(w.ctx, p.name(id), input)
}

func (w *writer) close() error {
	w.result.trace = bundle.Digest(w.trace.Sum(nil))
	return errors.Join(w.findings.close(), w.traces.close())
}

// name is how a person is told which finding is meant.
func (p *pending) name(id string) string {
	return fmt.Sprintf("%s (%.100q of %.200q in %.200q)", id, p.Advisory.ID, p.Component.Purl, p.SBOM.Subject)
}

// finding is its line.
func (p *pending) finding(id string, d Decision) Finding {
	f := Finding{
		ID: id, Action: d.Action, Reason: d.Reason, Rules: d.Rules, Severity: p.Advisory.Severity,
		Advisory:  FindingAdvisory{ID: p.Advisory.ID, Aliases: p.Advisory.Aliases, Digest: p.Advisory.Digest, Source: p.Advisory.Source, Stream: p.Advisory.Stream},
		Component: p.Component,
		SBOM:      FindingSBOM{Digest: p.SBOM.Digest, Source: p.SBOM.Source, Stream: p.SBOM.Stream, Subject: p.SBOM.Subject},
		Fixed:     p.Match.Fixed, Match: p.Match.How,
	}
	if len(p.statements) > 0 {
		f.VEX = p.statements[0].Status
	}
	return f
}

// shards cuts lines into files as the rest of a bundle is cut.
type shards struct {
	ctx   context.Context
	out   Output
	of    string
	lines Lines
	// longest is what a line may have: what readLine takes, so that whatever is
	// written can be decided again.
	longest int
}

func (s *shards) write(key string, line []byte) error {
	if len(line) > s.longest {
		return export.Errorf(export.CodeValidation, "its line of %s has %d bytes, at most %d are taken; leave the advisory out with the run's selectors", s.of, len(line), s.longest)
	}
	if s.lines == nil || bundle.CutBefore([]byte(key), int64(len(line))) {
		first := s.lines == nil
		if err := s.close(); err != nil {
			return err
		}
		lines, err := s.out.Lines(s.ctx, bundle.PolicyShardPath(s.of, key, first))
		if err != nil {
			return err
		}
		s.lines = lines
	}
	return s.lines.WriteLine(line)
}

func (s *shards) close() error {
	if s.lines == nil {
		return nil
	}
	return s.lines.Close()
}

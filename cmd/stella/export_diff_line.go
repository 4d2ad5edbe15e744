package main

import (
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/client"
)

// partsShown is how many packages, aliases or statements of a document a line tells.
const partsShown = 3

// changeLine is a change in one line: what became of which document, and what of it.
func changeLine(c client.DocumentChange) string {
	sign := map[client.DocumentChangeChange]string{client.DocumentChangeChangeAdded: "+", client.DocumentChangeChangeRemoved: "-"}[c.Change]
	if sign == "" {
		sign = "~"
	}
	line := sign + " " + c.ID
	if len(c.Aliases) > 0 {
		line += " (" + few(c.Aliases, ", ") + ")"
	}
	line += " " + c.Kind + " of " + c.Source
	if c.Stream != "" {
		line += "/" + c.Stream
	}
	var parts []string
	for _, s := range c.Severity {
		parts = append(parts, severityText(c, s))
	}
	if c.Withdrawn != nil {
		parts = append(parts, withdrawnText(*c.Withdrawn))
	}
	var packages, statements []string
	for _, p := range c.Packages {
		packages = append(packages, packageText(p))
	}
	for _, s := range c.Statements {
		statements = append(statements, fmt.Sprintf("%s in %s: %s -> %s", s.Vulnerability, s.Product, or(s.From, "nothing"), or(s.To, "nothing")))
	}
	parts = append(parts, few(packages, "; "), few(statements, "; "))
	if len(c.AliasesAdded) > 0 {
		parts = append(parts, "also "+few(c.AliasesAdded, ", "))
	}
	if len(c.AliasesRemoved) > 0 {
		parts = append(parts, "no longer "+few(c.AliasesRemoved, ", "))
	}
	if n := c.Components; n != nil {
		parts = append(parts, fmt.Sprintf("%d components added, %d removed", n.Added, n.Removed))
	}
	if len(c.What) == 1 && c.What[0] == client.DocumentChangeWhatOther {
		parts = append(parts, "text only")
	}
	if c.Note != "" {
		parts = append(parts, c.Note)
	}
	if told := joined(parts); told != "" {
		line += ": " + told
	}
	return line
}

// joined leaves out what there is none of.
func joined(parts []string) string {
	var there []string
	for _, p := range parts {
		if p != "" {
			there = append(there, p)
		}
	}
	return strings.Join(there, "; ")
}

func few(words []string, separator string) string {
	if more := len(words) - partsShown; more > 0 {
		return strings.Join(words[:partsShown], separator) + fmt.Sprintf("%sand %d more", separator, more)
	}
	return strings.Join(words, separator)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// severityText tells words, and vectors where the words are the same.
func severityText(c client.DocumentChange, s client.SeverityChange) string {
	word := func(said *client.SeveritySaid) string {
		if said == nil {
			return "none said"
		}
		return or(said.Word, strings.Join(said.Said, " "))
	}
	from, to := word(s.From), word(s.To)
	of := joined([]string{s.Vulnerability, packageName(s.Ecosystem, s.Name, s.Module)})
	if of != "" {
		of = " of " + of
	}
	switch {
	case c.Change == client.DocumentChangeChangeAdded:
		return to
	case c.Change == client.DocumentChangeChangeRemoved:
		return from
	case from == to && s.From != nil && s.To != nil:
		return fmt.Sprintf("severity%s %s: %s -> %s", of, to, strings.Join(s.From.Said, " "), strings.Join(s.To.Said, " "))
	}
	return fmt.Sprintf("severity%s %s -> %s", of, from, to)
}

func withdrawnText(w client.WithdrawnChange) string {
	switch {
	case w.From == "":
		return "withdrawn " + w.To
	case w.To == "":
		return "no longer withdrawn"
	}
	return "withdrawn " + w.From + " -> " + w.To
}

func packageName(ecosystem, name, module string) string {
	if ecosystem == "" && name == "" {
		return ""
	}
	if module != "" {
		name += " (" + module + ")"
	}
	return ecosystem + " " + name
}

func packageText(p client.PackageChange) string {
	name := packageName(p.Ecosystem, p.Name, p.Module)
	if p.Vulnerability != "" {
		name = p.Vulnerability + " in " + name
	}
	switch p.Change {
	case client.PackageChangeChangeAdded:
		return joined([]string{name + " affected", few(p.RangesAdded, " and ")})
	case client.PackageChangeChangeRemoved:
		return name + " no longer affected"
	}
	var parts []string
	if len(p.RangesAdded)+len(p.RangesRemoved) > 0 {
		parts = append(parts, fmt.Sprintf("%s -> %s", or(few(p.RangesRemoved, " and "), "nothing"), or(few(p.RangesAdded, " and "), "nothing")))
	}
	if p.VersionsAdded+p.VersionsRemoved > 0 {
		parts = append(parts, fmt.Sprintf("%d versions more, %d less", p.VersionsAdded, p.VersionsRemoved))
	}
	return name + " " + strings.Join(parts, ", ")
}

package vex

import (
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/internal/jsonobject"
	"github.com/stella-ops/exportcenter/internal/purl"
)

// cyclonedxStates are the words for analysis.state (CycloneDX 1.6 JSON schema,
// "impactAnalysisState"). "false_positive" says that the vulnerability is not
// there; "resolved_with_pedigree" is resolved, with proof.
var cyclonedxStates = map[string]Status{
	"resolved": Fixed, "resolved_with_pedigree": Fixed, "exploitable": Affected, "in_triage": UnderInvestigation,
	"false_positive": NotAffected, "not_affected": NotAffected,
}

// cyclonedxJustifications are the nearest words of OpenVEX, whose meaning is that
// of CISA's "Vulnerability Exploitability eXchange (VEX) - Status Justifications"
// (2022), for those of CycloneDX's schema ("impactAnalysisJustification"). What
// needs something that is not there leaves the code in place, out of reach of an
// attacker; what is protected, by whatever, has an inline mitigation.
var cyclonedxJustifications = map[string]string{
	"code_not_present":                "vulnerable_code_not_present",
	"code_not_reachable":              "vulnerable_code_not_in_execute_path",
	"requires_configuration":          "vulnerable_code_cannot_be_controlled_by_adversary",
	"requires_dependency":             "vulnerable_code_cannot_be_controlled_by_adversary",
	"requires_environment":            "vulnerable_code_cannot_be_controlled_by_adversary",
	"protected_by_compiler":           "inline_mitigations_already_exist",
	"protected_at_runtime":            "inline_mitigations_already_exist",
	"protected_at_perimeter":          "inline_mitigations_already_exist",
	"protected_by_mitigating_control": "inline_mitigations_already_exist",
}

// cyclonedx reads the analyses of the vulnerabilities of a CycloneDX document.
func (r *reader) cyclonedx(doc jsonobject.Object) error {
	format, _, err := doc.Text("bomFormat")
	if err != nil || format != "CycloneDX" {
		return fmt.Errorf("bomFormat %.40q is not CycloneDX", format)
	}
	if r.found.ID, _, err = doc.Text("serialNumber"); err != nil {
		return err
	}
	if !doc.Has("vulnerabilities") {
		return nil
	}
	own, err := r.components(doc)
	if err != nil {
		return err
	}
	metadata, _, err := doc.Object("metadata")
	if err != nil {
		return err
	}
	return doc.Each("vulnerabilities", func(v jsonobject.Object) error { return r.cyclonedxVulnerability(v, metadata, own) })
}

func (r *reader) cyclonedxVulnerability(v, metadata jsonobject.Object, own components) error {
	analysis, there, err := v.Object("analysis")
	if err != nil {
		return err
	}
	if !there {
		r.Leave("%s has no analysis", v.Name(""))
		return nil
	}
	state, _, err := analysis.Text("state")
	if err != nil {
		return err
	}
	status, known := cyclonedxStates[state]
	if !known {
		r.Leave("%s %.40q says nothing of a status", analysis.Name("state"), state)
		return nil
	}
	s := Statement{Vulnerability: r.text(v, "id"), Status: status, Impact: r.text(analysis, "detail"), Action: r.cyclonedxAction(v, analysis)}
	if s.Vulnerability == "" {
		r.Leave("%s has no id", v.Name(""))
		return nil
	}
	if status == NotAffected {
		s.Justification = cyclonedxJustifications[r.text(analysis, "justification")]
	}
	err = v.Each("references", func(ref jsonobject.Object) error {
		s.Aliases = append(s.Aliases, r.text(ref, "id"))
		return r.count(1)
	})
	if err != nil {
		return err
	}
	s.At, err = firstTime(timeField{analysis, "lastUpdated"}, timeField{analysis, "firstIssued"}, timeField{v, "updated"}, timeField{metadata, "timestamp"})
	if err != nil {
		return err
	}
	return r.cyclonedxAffects(v, s, own)
}

// cyclonedxAction is the publisher's recommendation and workaround, and the words
// of its response.
func (r *reader) cyclonedxAction(v, analysis jsonobject.Object) string {
	var parts []string
	responses, err := analysis.Texts("response")
	if err != nil {
		r.Leave("%s", err)
	}
	parts = append(parts, strings.Join(responses, ", "), r.text(v, "recommendation"), r.text(v, "workaround"))
	action := ""
	for _, part := range parts {
		if part != "" && action != "" {
			action += "\n"
		}
		action += part
	}
	return action
}

// cyclonedxAffects makes statements of what a vulnerability affects: one of all
// products that have the status of the analysis, and, where versions are listed,
// one for each other status that the document gives a version.
func (r *reader) cyclonedxAffects(v jsonobject.Object, s Statement, own components) error {
	products := map[Status][]string{}
	err := v.Each("affects", func(a jsonobject.Object) error {
		ref, err := a.RequireText("ref")
		if err != nil {
			return err
		}
		product := own.referred(ref)
		listed := 0
		err = a.Each("versions", func(version jsonobject.Object) error {
			listed++
			return r.cyclonedxVersion(version, product, s.Status, products)
		})
		if listed == 0 {
			products[s.Status] = append(products[s.Status], product.ids...)
		}
		if err != nil {
			return err
		}
		return r.count(1 + listed)
	})
	if err != nil {
		return err
	}
	if len(products) == 0 {
		r.Leave("%s: a statement about no product", v.Name(""))
	}
	for _, status := range Statuses {
		if len(products[status]) == 0 {
			continue
		}
		own := s
		own.Status, own.Products = status, products[status]
		if status != s.Status { // the texts are about another status
			own.Justification, own.Impact, own.Action = "", "", ""
		}
		r.state(own)
	}
	return nil
}

// versionStatus are the statuses of single versions ("affectedStatus"); one
// without a word has that of the analysis. The schema's default is "affected",
// but CISA's use cases list the version that is "resolved" without a word.
var versionStatus = map[string]Status{"affected": Affected, "unaffected": NotAffected, "unknown": UnderInvestigation}

func (r *reader) cyclonedxVersion(version jsonobject.Object, product target, status Status, products map[Status][]string) error {
	text, _, err := version.Text("version")
	if err != nil {
		return err
	}
	if text == "" {
		r.Leave("%s is a range of versions", version.Name(""))
		return nil
	}
	if word := r.text(version, "status"); word != "" {
		known := false
		if status, known = versionStatus[word]; !known {
			r.Leave("%s %.40q is no status of a version", version.Name("status"), word)
			return nil
		}
	}
	if product.purl == "" {
		r.Leave("%s: product %.100q has no package URL to give a version", version.Name(""), product.ids[0])
		return nil
	}
	products[status] = append(products[status], product.within+purl.WithVersion(product.purl, text))
	return nil
}

package bundle

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Credit is where some of a bundle's documents come from, as its README tells.
// Licences such as CC-BY ask for it. Texts are plain: letters, digits and marks
// that mean nothing in a table.
type Credit struct {
	Documents int64
	Place     string // source/stream
	Publisher string // "" when nobody knows
	URL       string // "" when nobody knows
	Licence   string // never ""
}

// Readme writes README.md: what the bundle is, for a person who finds it.
// Without sources it says that they were not counted.
func Readme(m Manifest, sources []Credit) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Evidence export %s\n\n", m.RunID)
	fmt.Fprintf(&out, "Vulnerability evidence of tenant `%s`, packed by the profile %s:%s (revision %d)\nfor a run requested at %s.\n\n",
		m.Tenant, m.Profile.Kind, m.Profile.Variant, m.Profile.Revision, m.GeneratedAt)
	fmt.Fprintf(&out, "| What | Value |\n|---|---|\n")
	fmt.Fprintf(&out, "| "+recordsWord(m)+" | %d |\n| payload files | %d |\n| payload bytes, compressed | %d |\n", m.Counts.Records, m.Counts.Files, m.Counts.Bytes)
	for _, kind := range slices.Sorted(maps.Keys(m.Counts.ByType)) {
		fmt.Fprintf(&out, "| %s | %d |\n", kind, m.Counts.ByType[kind])
	}
	fmt.Fprintf(&out, "| payload digest | `%s` |\n\n", m.PayloadDigest)
	writeDelta(&out, m)
	writeTenancy(&out, m)
	writeRedaction(&out, m)
	writeSources(&out, m, sources)
	out.WriteString("## What is where\n\n" + readmePayloadOf(m) + readmeRest)
	return out.Bytes()
}

// recordsWord is what the records of a bundle are: documents, unless there is
// something that was made of them.
func recordsWord(m Manifest) string {
	for _, c := range m.Contents {
		if !IsEvidence(c.Path) {
			return "records"
		}
	}
	return "documents"
}

// readmePayloadOf tells what the payload files are.
func readmePayloadOf(m Manifest) string {
	text := ""
	if m.Delta != nil {
		return readmeDeltaPayload
	}
	if m.Tenancy != nil {
		text = readmePayloads
	} else if slices.ContainsFunc(m.Contents, func(c Content) bool { return strings.HasPrefix(c.Path, rawDir) }) || len(m.Contents) == 0 {
		text = readmePayload
	}
	for _, of := range []struct{ path, says string }{
		{PolicySnapshotPath, readmePolicy}, {TrivyDBPath, readmeTrivyDB}, {TrivyJavaPath, readmeTrivyJava},
		{PolicyDocumentPath, readmeMirror},
	} {
		if slices.ContainsFunc(m.Contents, func(c Content) bool { return c.Path == of.path }) {
			text += of.says
		}
	}
	return text
}

// writeTenancy tells whose evidence is there besides, and who let it be read.
func writeTenancy(out *bytes.Buffer, m Manifest) {
	if m.Tenancy == nil {
		return
	}
	records := map[string]int64{}
	for _, c := range m.Contents {
		if tenant, project, foreign := c.Holder(); foreign {
			records[tenant+"/"+project] += c.Records
		}
	}
	out.WriteString("## Evidence of other tenants\n\n| Tenant and project | Documents |\n|---|---|\n")
	for _, of := range slices.Sorted(maps.Keys(records)) {
		fmt.Fprintf(out, "| %s | %d |\n", of, records[of])
	}
	out.WriteString("\nIt was read under these approvals, whose envelopes are in `" + ApprovalsDir + "`:\n\n| Tenant | Project | Approved by | Until | Envelope |\n|---|---|---|---|---|\n")
	for _, a := range m.Tenancy.CrossTenantApprovals {
		project := a.Project
		if project == "" {
			project = "all"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | `%s` |\n", a.Tenant, project, strings.NewReplacer("|", "/", "`", "'").Replace(a.Approver), a.ExpiresAt, a.Digest)
	}
	out.WriteString("\n")
}

func writeRedaction(out *bytes.Buffer, m Manifest) {
	if m.Redaction == nil {
		return
	}
	fmt.Fprintf(out, "## Fields were left out\n\nBy the policy `%s`, whose allow-list is in `%s`:\n\n| What | Fields left out |\n|---|---|\n",
		strings.ReplaceAll(m.Redaction.PolicyID, "`", "'"), ProvenancePath)
	for _, kind := range slices.Sorted(maps.Keys(m.Redaction.DroppedFields)) {
		fmt.Fprintf(out, "| %s | %d |\n", kind, m.Redaction.DroppedFields[kind])
	}
	out.WriteString("\nThe lines say so too. Their `original.digest` still names the whole document.\n\n")
}

// maxReadmeSources bounds the table of sources.
const maxReadmeSources = 500

func writeSources(out *bytes.Buffer, m Manifest, sources []Credit) {
	out.WriteString("## Sources and licences\n\n")
	if len(sources) == 0 && m.Counts.Records > 0 {
		out.WriteString("The documents were not counted by source; each line names its own in `source` and\n`stream`. Their licences are not known to this program; ask the publishers.\n\n")
		return
	}
	if len(sources) == 0 {
		out.WriteString("There are no documents.\n\n")
		return
	}
	out.WriteString("| Documents | Source and stream | Publisher | Licence |\n|---|---|---|---|\n")
	for i, s := range sources {
		if i == maxReadmeSources {
			fmt.Fprintf(out, "\nand %d sources more: each line names its own in `source` and `stream`. Their\nlicences are not told here; ask the publishers.\n", len(sources)-i)
			break
		}
		publisher := s.Publisher
		switch {
		case publisher == "":
			publisher = "not known to this program"
		case s.URL != "" && s.URL != publisher:
			publisher += ", " + s.URL
		}
		fmt.Fprintf(out, "| %d | %s | %s | %s |\n", s.Documents, s.Place, publisher, s.Licence)
	}
	out.WriteString(readmeLicences)
	if m.Redaction != nil {
		out.WriteString(",\nand fields were left out as said above")
	}
	out.WriteString(".\n\n")
}

const readmeLicences = `
Licences have their SPDX names; the text of one is at https://spdx.org/licenses/NAME.html.
Who passes these documents on under a licence that asks for it names the publisher,
links the licence and tells what was changed. This program changed only the writing:
the evidence is in RFC 8785 form, without white space and with its members in order`

const (
	readmePayload = "- `data/raw/<type>-<shard>.jsonl.zst`" + `: the payload, one JSON document per line.
  ` + "`zstd -dc data/raw/*.jsonl.zst | wc -l`" + ` counts the documents.
`
	readmePayloads = "- `data/raw/<type>-<shard>.jsonl.zst`" + `: the payload, one JSON document per line.
- ` + "`data/tenants/<tenant>/<project>/<type>-<shard>.jsonl.zst`" + `: the same of other tenants;
  ` + "`_`" + ` is documents without a project.
  ` + "`find data -name '*.zst' -exec zstd -dc {} + | wc -l`" + ` counts all documents.
`
)

const (
	readmePolicy = "- `" + PolicySnapshotPath + "`" + `: by which policy the decisions were made, ` + "`" + PolicyPackPath + "`" + ` that policy itself,
  ` + "`data/policy/findings-*`" + ` the decisions and ` + "`data/policy/decision-traces-*`" + ` how each came about.
  ` + "`exportcenter policy replay FILE`" + ` decides again, from this bundle alone, and compares.
`
	readmeTrivyDB = "- `" + TrivyDBPath + "`" + `: the vulnerability database for Trivy, ` + "`trivy.db`" + ` and ` + "`metadata.json`" + `.
  ` + "`mkdir -p CACHE/db && tar -xzf trivy/db.tar.gz -C CACHE/db`" + `, then
  ` + "`trivy sbom --cache-dir CACHE --skip-db-update --skip-java-db-update --offline-scan SBOM`" + `.
`
	readmeTrivyJava = "- `" + TrivyJavaPath + "`" + `: the index of Java archives for Trivy, ` + "`trivy-java.db`" + ` and ` + "`metadata.json`" + `.
  ` + "`mkdir -p CACHE/java-db && tar -xzf trivy/javadb.tar.gz -C CACHE/java-db`" + `; it holds no
  vulnerabilities, those are in the other database.
`
)

const readmeMirror = "- `" + OriginalsDir + "`" + `: every document as its publisher wrote it; a file's name is the
  SHA-256 of its content, and the lists in ` + "`" + IndexesDir + "`" + ` name them all.
- ` + "`" + IndexesDir + "`" + `: which file of a type a document is in, and the lists of originals.
- ` + "`data/policy/`" + `: the policy pack, as it was imported, and which one it is.
`

const readmeRest = "- `" + ManifestPath + "`" + `: every payload file with its digests; the field ` + "`order`" + ` gives the
  order in which the files are read when the order of the documents matters.
- ` + "`" + ProvenancePath + "`" + `: what was asked, what went in, and what built it.
- ` + "`signatures/`" + `: signatures over both, and the seal over the whole archive.
- ` + "`" + GuidePath + "`" + `: how to check all of this without the program that made it.

Check the archive before you use it: ` + "`stella verify FILE --key PUBLIC_KEY`" + `. The key
must come from somewhere you trust, never from the archive itself.
`

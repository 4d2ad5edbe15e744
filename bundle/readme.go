package bundle

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// Readme writes README.md: what the bundle is, for a person who finds it.
func Readme(m Manifest) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Evidence export %s\n\n", m.RunID)
	fmt.Fprintf(&out, "Vulnerability evidence of tenant `%s`, packed by the profile %s:%s (revision %d)\nfor a run requested at %s.\n\n",
		m.Tenant, m.Profile.Kind, m.Profile.Variant, m.Profile.Revision, m.GeneratedAt)
	fmt.Fprintf(&out, "| What | Value |\n|---|---|\n")
	fmt.Fprintf(&out, "| documents | %d |\n| payload files | %d |\n| payload bytes, compressed | %d |\n", m.Counts.Records, m.Counts.Files, m.Counts.Bytes)
	for _, kind := range slices.Sorted(maps.Keys(m.Counts.ByType)) {
		fmt.Fprintf(&out, "| %s | %d |\n", kind, m.Counts.ByType[kind])
	}
	fmt.Fprintf(&out, "| payload digest | `%s` |\n\n", m.PayloadDigest)
	out.WriteString(readmeRest)
	return out.Bytes()
}

const readmeRest = `## What is where

- ` + "`data/raw/<type>-<shard>.jsonl.zst`" + `: the payload, one JSON document per line.
  ` + "`zstd -dc data/raw/*.jsonl.zst | wc -l`" + ` counts the documents.
- ` + "`" + ManifestPath + "`" + `: every payload file with its digests; the field ` + "`order`" + ` gives the
  order in which the files are read when the order of the documents matters.
- ` + "`" + ProvenancePath + "`" + `: what was asked, what went in, and what built it.
- ` + "`signatures/`" + `: signatures over both, and the seal over the whole archive.
- ` + "`" + GuidePath + "`" + `: how to check all of this without the program that made it.

Check the archive before you use it: ` + "`stella verify FILE --key PUBLIC_KEY`" + `. The key
must come from somewhere you trust, never from the archive itself.
`

package bundle

import (
	"bytes"
	"fmt"
)

// writeDelta tells what a delta leads from, to, and what changed.
func writeDelta(out *bytes.Buffer, m Manifest) {
	d := m.Delta
	if d == nil {
		return
	}
	out.WriteString("## A delta between two mirrors\n\n| | Run | Generation | Manifest |\n|---|---|---|---|\n")
	fmt.Fprintf(out, "| from | `%s` | %d | `%s` |\n", d.Base.ExportID, d.Base.Generation, d.Base.ManifestDigest)
	fmt.Fprintf(out, "| to | `%s` | %d | `%s` |\n\n", d.Target.ExportID, d.Target.Generation, d.Target.ManifestDigest)
	switch {
	case d.Base == d.Target:
		out.WriteString("This delta is empty: it was made of one mirror twice, and changes nothing.\n\n")
		return
	case d.Added+d.Changed+d.Removed == 0:
		out.WriteString("This delta is empty: both mirrors hold the same documents. It brings the second one's\nmanifest and signatures.\n\n")
	default:
		fmt.Fprintf(out, "%d documents were added, %d changed, and %d removed.\n\n", d.Added, d.Changed, d.Removed)
	}
	out.WriteString(`Only who has the first mirror can use it, and then has the second one, byte for byte:

    stella mirror apply --base DIR FILE --key PUBLIC_KEY

DIR was made of a full mirror with ` + "`stella mirror init DIR FULL --key PUBLIC_KEY`" + `.

`)
}

const readmeDeltaPayload = "- `" + DeltaPath + "`" + `: the two mirrors, and how many documents differ.
- ` + "`data/raw/<type>-<shard>.jsonl.zst`" + `: the documents that were added or changed, one per line.
- ` + "`data/removed/<type>-<shard>.jsonl.zst`" + `: a line for each document that was removed, and for each original.
- ` + "`data/result/documents-<shard>.jsonl.zst`" + `: the entries of the second mirror that are not made of documents.
- ` + "`data/original/<kind>/<digest>`" + `: the originals that came, listed in ` + "`indexes/`" + `.
`

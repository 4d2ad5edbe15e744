package mirrorfull

import (
	"context"
	"fmt"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
)

// IndexSchema is what an Index calls its own form.
const IndexSchema = "https://stellaops.io/export-center/mirror-index/v1"

// Index is indexes/<type>.index.json: the files of a type in the order of their lines.
// Whoever looks for a document finds its file by First: it is the last one whose First
// does not come after the document, compared member by member as UTF-8 bytes.
type Index struct {
	Schema  string       `json:"schema"`
	Type    string       `json:"type"`
	Records int64        `json:"records"`
	Shards  []IndexShard `json:"shards"`
}

// IndexShard is a file of evidence.
type IndexShard struct {
	Path          string        `json:"path"`
	Records       int64         `json:"records"`
	ContentDigest bundle.Digest `json:"contentDigest"`
	First         IndexKey      `json:"first"`
}

// IndexKey is what the lines of a type are ordered by.
type IndexKey struct {
	Subject    string `json:"subject"`
	UpstreamID string `json:"upstreamId"`
	Source     string `json:"source"`
	Stream     string `json:"stream"`
}

// Encode gives the bytes of an index.
func (i Index) Encode() ([]byte, error) {
	text, err := bundle.MarshalCanonical(i)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", bundle.IndexPath(i.Type), err)
	}
	return text, nil
}

func writeIndexes(ctx context.Context, indexes []*Index, out adapters.Output) error {
	for _, index := range indexes {
		text, err := index.Encode()
		if err != nil {
			return err
		}
		if err := out.Document(ctx, bundle.IndexPath(index.Type), text, int64(len(index.Shards))); err != nil {
			return err
		}
	}
	return nil
}

package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// original is a document of a day as its publisher's file has it.
type original struct {
	stream string
	raw    []byte
}

// vexCorpus are OpenVEX documents beside the advisories.
const vexCorpus = "../../shared/data/vex/openvex-rancher-oci-sample.tar.zst"

// dayOne reads the shared data: advisories a line each, VEX documents a file each.
func dayOne(t *testing.T) (advisories, statements []original) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(realCorpus(t), "*.jsonl.zst"))
	require.NoError(t, err)
	for _, file := range files {
		stream := strings.TrimSuffix(filepath.Base(file), ".jsonl.zst")
		for line := range bytes.Lines(uncompressed(t, file)) {
			advisories = append(advisories, original{stream, bytes.TrimSpace(line)})
		}
	}
	require.Len(t, advisories, corpusDocuments)
	if _, err := os.Stat(vexCorpus); err != nil {
		t.Skipf("missing: %s", vexCorpus)
	}
	archive := tar.NewReader(bytes.NewReader(uncompressed(t, vexCorpus)))
	for {
		entry, err := archive.Next()
		if err == io.EOF { //nolint:errorlint // as the package documents it
			return advisories, statements
		}
		require.NoError(t, err)
		raw, err := io.ReadAll(archive)
		require.NoError(t, err)
		if entry.Typeflag == tar.TypeReg && strings.HasSuffix(entry.Name, ".json") {
			statements = append(statements, original{"rancher", raw})
		}
	}
}

func uncompressed(t *testing.T, path string) []byte {
	t.Helper()
	packed, err := os.ReadFile(path)
	require.NoError(t, err)
	decoder, err := zstd.NewReader(nil)
	require.NoError(t, err)
	defer decoder.Close()
	content, err := decoder.DecodeAll(packed, nil)
	require.NoError(t, err)
	return content
}

// object is a JSON object, its numbers as written.
type object = map[string]any

func opened(t testing.TB, raw []byte) (doc object) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&doc))
	return doc
}

func closed(t testing.TB, doc object) []byte {
	t.Helper()
	raw, err := json.Marshal(doc)
	require.NoError(t, err)
	return raw
}

// objects gives the members of a list that are objects.
func objects(value any) (found []object) {
	list, _ := value.([]any)
	for _, v := range list {
		if o, ok := v.(object); ok {
			found = append(found, o)
		}
	}
	return found
}

// dayTwo shifts the first day: some advisories are gone, some are new, and some have
// another severity, range, package, alias, text, or are withdrawn. The same seed gives
// the same day. All that changes is modified later than everything of the first day.
func dayTwo(t *testing.T, seed uint64, before []original) (after []original) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, seed))
	for n, doc := range before {
		dice := random.IntN(1000)
		if dice >= 140 {
			after = append(after, doc)
			continue
		}
		o := opened(t, doc.raw)
		o["modified"] = "2030-01-02T00:00:00Z"
		switch {
		case dice < 20: // gone
			continue
		case dice < 30: // new
			after = append(after, doc)
			o["id"] = fmt.Sprintf("NEW-2030-%d", n)
			delete(o, "aliases")
		case dice < 50:
			rateAnew(o, random)
		case dice < 70:
			fixLater(o)
		case dice < 80: // both
			rateAnew(o, random)
			fixLater(o)
		case dice < 95:
			about(o, []string{"0-first", "zz-last"}[random.IntN(2)], random.IntN(2) == 0)
		case dice < 105:
			o["withdrawn"] = "2030-01-01T12:00:00Z"
		case dice < 120:
			aliases, _ := o["aliases"].([]any)
			o["aliases"] = append(slices.Clone(aliases[min(1, len(aliases)):]), fmt.Sprintf("CVE-2099-%d", n))
		default:
			o["summary"] = fmt.Sprintf("told anew %d", n)
		}
		after = append(after, original{doc.stream, closed(t, o)})
	}
	return after
}

// rateAnew says another severity, in GitHub's words.
func rateAnew(o object, random *rand.Rand) {
	specific, ok := o["database_specific"].(object)
	if !ok {
		specific = object{}
		o["database_specific"] = specific
	}
	words := []string{"LOW", "MODERATE", "HIGH", "CRITICAL"}
	words = slices.DeleteFunc(words, func(w string) bool { return w == specific["severity"] })
	specific["severity"] = words[random.IntN(len(words))]
}

// fixLater moves the first fix of every package to a later version.
func fixLater(o object) {
	for _, entry := range objects(o["affected"]) {
		for _, r := range objects(entry["ranges"]) {
			for _, e := range objects(r["events"]) {
				if fixed, ok := e["fixed"].(string); ok && r["type"] != "GIT" {
					e["fixed"] = fixed + "9"
					break
				}
			}
		}
	}
}

// about makes the first package another one, or adds one like it.
func about(o object, name string, instead bool) {
	affected, _ := o["affected"].([]any)
	for _, entry := range objects(o["affected"]) {
		named, ok := entry["package"].(object)
		if !ok {
			continue
		}
		other := object{}
		for key, value := range entry {
			other[key] = value
		}
		other["package"] = object{"ecosystem": named["ecosystem"], "name": name}
		if instead {
			entry["package"] = other["package"]
		} else {
			o["affected"] = append(slices.Clone(affected), other)
		}
		return
	}
}

// restate gives one statement of some VEX documents another status.
func restate(t *testing.T, seed uint64, before []original) (after []original) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, seed))
	for _, doc := range before {
		if random.IntN(4) > 0 {
			after = append(after, doc)
			continue
		}
		o := opened(t, doc.raw)
		statements := objects(o["statements"])
		s := statements[random.IntN(len(statements))]
		s["status"] = map[any]string{"fixed": "under_investigation"}[s["status"]]
		if s["status"] == "" {
			s["status"] = "fixed"
		}
		o["last_updated"], s["last_updated"] = "2030-01-02T00:00:00Z", "2030-01-02T00:00:00Z"
		after = append(after, original{doc.stream, closed(t, o)})
	}
	return after
}

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// documents is what was generated.
type documents struct {
	path   string // one document per line
	count  int
	bytes  int64
	origin string // what was replicated
	sample string // where our own are
}

// targetBytes is the mean size of a real OSV advisory; shorter samples get a
// longer description.
const targetBytes = 1600

// writeDocuments writes the same documents for the same options, always: each
// of the originals once, then replicas of them with other ids, aliases, names
// and versions, shuffled, because evidence does not arrive in order.
func writeDocuments(dir string, o options) (documents, error) {
	originals, origin, err := readOriginals(o)
	if err != nil {
		return documents{}, err
	}
	d := documents{path: filepath.Join(dir, fmt.Sprintf("advisories-%d.jsonl", o.documents)),
		count: o.documents, origin: origin, sample: o.sample}
	file, err := os.Create(d.path)
	if err != nil {
		return d, err
	}
	out := bufio.NewWriterSize(file, 1<<20)
	chance := rand.New(rand.NewPCG(o.seed, o.seed))
	chance.Shuffle(len(originals), func(i, j int) { originals[i], originals[j] = originals[j], originals[i] })
	for _, n := range chance.Perm(o.documents) {
		line := originals[n%len(originals)].replica(n / len(originals))
		d.bytes += int64(len(line)) + 1
		out.Write(line)     //nolint:errcheck // Flush tells
		out.WriteByte('\n') //nolint:errcheck // Flush tells
	}
	return d, errors.Join(out.Flush(), file.Close())
}

// readOriginals reads the real advisories when they are there, else our own.
func readOriginals(o options) ([]original, string, error) {
	if paths, _ := filepath.Glob(filepath.Join(o.corpus, "*.jsonl.zst")); o.corpus != "" && len(paths) > 0 {
		all, err := readPacked(paths)
		return all, fmt.Sprintf("%d real advisories", len(all)), err
	}
	paths, _ := filepath.Glob(filepath.Join(o.sample, "*.json"))
	if len(paths) == 0 {
		return nil, "", fmt.Errorf("no advisories in %s or %s", o.corpus, o.sample)
	}
	all, err := readSamples(paths)
	return all, fmt.Sprintf("%d sample advisories (%s is not there)", len(all), o.corpus), err
}

func readPacked(paths []string) ([]original, error) {
	var all []original
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		unpacked, err := zstd.NewReader(file)
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		lines := bufio.NewReaderSize(unpacked, 1<<20)
		for err == nil {
			var line []byte
			if line, err = lines.ReadBytes('\n'); len(bytes.TrimSpace(line)) > 0 {
				one, bad := newOriginal(bytes.TrimSpace(line))
				if bad != nil {
					return nil, errors.Join(fmt.Errorf("%s: %w", path, bad), file.Close())
				}
				all = append(all, one)
			}
		}
		unpacked.Close()
		if closed := file.Close(); !errors.Is(err, io.EOF) || closed != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", path, err), closed)
		}
	}
	return all, nil
}

func readSamples(paths []string) ([]original, error) {
	var all []original
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var line bytes.Buffer
		if err := json.Compact(&line, raw); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		one, err := newOriginal(lengthen(line.Bytes()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, one)
	}
	return all, nil
}

// lengthen makes the description long enough for a document of real size.
func lengthen(line []byte) []byte {
	const words = " The affected component was reviewed again, and the finding was confirmed."
	if missing := targetBytes - len(line); missing > 0 {
		more := strings.Repeat(words, missing/len(words)+1)
		return bytes.Replace(line, []byte(`"details":"`), []byte(`"details":"`+more[1:]+" "), 1)
	}
	return line
}

// original is an advisory to replicate.
type original struct {
	line  []byte
	names []string // of its packages, as JSON strings
	id    string   // as a JSON string
}

func newOriginal(line []byte) (original, error) {
	var doc struct {
		ID       string
		Affected []struct{ Package struct{ Name, Purl string } }
	}
	if err := json.Unmarshal(line, &doc); err != nil || doc.ID == "" {
		return original{}, fmt.Errorf("not an OSV document: %.60s: %w", line, err)
	}
	o := original{line: line, id: quoted(doc.ID)}
	seen := map[string]bool{"": true}
	for _, a := range doc.Affected {
		for _, name := range []string{a.Package.Name, a.Package.Purl} {
			if !seen[name] {
				o.names = append(o.names, quoted(name))
			}
			seen[name] = true
		}
	}
	return o, nil
}

func quoted(s string) string {
	raw, _ := json.Marshal(s) // a string always has a JSON form
	return string(raw)
}

var (
	otherNames = regexp.MustCompile(`CVE-\d{4}-\d+|GHSA(-[0-9a-z]{4}){3}`)
	versions   = regexp.MustCompile(`"\d{1,6}\.\d{1,6}`)
)

// replica is the n-th relative of the advisory; the 0th is itself.
func (o original) replica(n int) []byte {
	if n == 0 {
		return o.line
	}
	suffix := strconv.Itoa(n)
	pairs := []string{o.id, o.id[:len(o.id)-1] + "-" + suffix + `"`}
	for _, name := range o.names {
		pairs = append(pairs, name, name[:len(name)-1]+"-"+suffix+`"`)
	}
	line := []byte(strings.NewReplacer(pairs...).Replace(string(o.line)))
	line = otherNames.ReplaceAllFunc(line, func(name []byte) []byte { return append(bytes.Clone(name), suffix...) })
	return versions.ReplaceAllFunc(line, func(v []byte) []byte {
		major, minor, _ := strings.Cut(string(v), ".")
		number, _ := strconv.Atoi(minor) // the pattern has digits only
		return []byte(major + "." + strconv.Itoa(number+n))
	})
}

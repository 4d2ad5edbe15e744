package mirror_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/delta"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/mirror"
	"github.com/stella-ops/exportcenter/mirror/mirrortest"
)

// story is three mirrors of a tenant and the deltas between them.
type story struct {
	m     mirrortest.Maker
	fulls []mirrortest.Mirror // generations 1, 2, 3
	names map[string]string   // of files with deltas: "12", "23", "13"
}

func newStory(t testing.TB) story {
	t.Helper()
	s := story{m: mirrortest.Maker{Signer: bundletest.Key(t, 1)}, names: map[string]string{}}
	documents := map[string]mirrortest.Document{}
	put := func(kind ledger.Kind, id, text string) {
		documents[id] = mirrortest.Document{Kind: kind, ID: id, Subject: "pkg:npm/" + id, Original: text}
	}
	for i := range 12 { // a shard or so each
		put(kinds[i%len(kinds)], fmt.Sprint("stays", i), strings.Repeat("x", 700)+fmt.Sprint(i))
	}
	put("vex", "goes2", "goes with generation 2")
	put("vex", "goes3", "goes with generation 3")
	for generation := range int64(3) {
		put("vex", "changes", fmt.Sprint("in generation ", generation))
		put("advisory", fmt.Sprint("comes", generation), fmt.Sprint("comes with generation ", generation))
		delete(documents, fmt.Sprint("goes", generation+1))
		s.fulls = append(s.fulls, s.m.Full(t, generation+1, slices.Collect(maps.Values(documents))...))
	}
	for _, of := range [][2]int{{0, 1}, {1, 2}, {0, 2}, {0, 0}} {
		name := fmt.Sprintf("%d%d", of[0]+1, of[1]+1)
		s.names[name] = written(t, name, s.m.Delta(t, s.fulls[of[0]], s.fulls[of[1]]))
	}
	return s
}

// at makes a directory that holds the first mirror and what deltas lead to.
func (s story) at(t testing.TB, deltas ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	_, err := mirror.Init(t.Context(), dir, written(t, "full", s.fulls[0]), trust(t))
	require.NoError(t, err)
	for _, d := range deltas {
		_, err := mirror.Apply(t.Context(), dir, []string{s.names[d]}, trust(t))
		require.NoError(t, err)
	}
	return dir
}

// refused wants an Apply to be refused for a reason, and to leave every byte of dir.
func refused(t testing.TB, dir string, reason mirror.Reason, code int, says string, deltas ...string) {
	t.Helper()
	before := everything(t, dir)
	_, err := mirror.Apply(t.Context(), dir, deltas, trust(t))
	var why *mirror.Error
	require.ErrorAs(t, err, &why)
	require.Equal(t, reason, why.Reason, err.Error())
	require.Equal(t, code, why.ExitCode())
	require.ErrorContains(t, err, says)
	require.Equal(t, before, everything(t, dir), "the directory was touched")
}

// everything is all that is in a directory: names, contents, where links lead.
func everything(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		switch {
		case info.Mode()&os.ModeSymlink != 0:
			found[path], err = os.Readlink(path)
		case info.Mode().IsRegular():
			var content []byte
			content, err = os.ReadFile(path)
			found[path] = string(content)
		default:
			found[path] = "directory"
		}
		return err
	}))
	return found
}

func TestWhatDoesNotLeadOnIsRefused(t *testing.T) {
	s := newStory(t)
	at1, at2, at3 := s.at(t), s.at(t, "12"), s.at(t, "12", "23")
	skipped := s.at(t, "13")
	refused(t, at2, mirror.ReasonReplay, 9, "was applied before", s.names["12"])
	refused(t, at3, mirror.ReasonReplay, 9, "was applied before", s.names["12"])
	refused(t, skipped, mirror.ReasonReplay, 9, "that already", s.names["23"])
	refused(t, skipped, mirror.ReasonRollback, 8, "never goes back", s.names["12"])
	refused(t, at1, mirror.ReasonGap, 11, "a delta from 1 is missing", s.names["23"])
	refused(t, at1, mirror.ReasonOrder, 12, "in the order in which they lead on", s.names["23"], s.names["12"])
	refused(t, at2, mirror.ReasonBase, 6, "another base", s.names["13"])
	refused(t, at1, mirror.ReasonReplay, 9, "give it once", s.names["12"], s.names["12"])
	refused(t, at1, mirror.ReasonRollback, 8, "never goes back", s.names["13"], s.names["12"])
	refused(t, at1, mirror.ReasonKind, 5, "only deltas", written(t, "full", s.fulls[1]))
	refused(t, at1, mirror.ReasonMirror, 4, "does not exist", filepath.Join(t.TempDir(), "absent"))

	// A mirror that is another one of the same generation.
	other := s.m.Full(t, 1, mirrortest.Document{Kind: "vex", ID: "other"})
	refused(t, at1, mirror.ReasonBase, 6, "another base", written(t, "other", s.m.Delta(t, other, s.fulls[1])))
}

func TestForeignDeltasAreRefused(t *testing.T) {
	s := newStory(t)
	dir := s.at(t)
	document := mirrortest.Document{Kind: "vex", ID: "a"}
	for says, m := range map[string]mirrortest.Maker{
		"is of tenant globex":           {Tenant: "globex"},
		`project "p"`:                   {Project: "p"},
		"leads to a mirror of profile":  {Profile: "another"},
		"a mirror of another selection": {Selectors: `{"kinds":["vex"]}`},
	} {
		m.Signer = s.m.Signer
		// Even one that names this very mirror as its base.
		d := m.Delta(t, s.fulls[0], m.Full(t, 2, document))
		refused(t, dir, mirror.ReasonForeign, 7, says, written(t, "foreign", d))
	}
	_, err := mirror.Apply(t.Context(), dir, []string{written(t, "strange", mirrortest.Maker{Signer: bundletest.Key(t, 2)}.Delta(t, s.fulls[0], s.fulls[1]))}, trust(t))
	var failure *verify.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, verify.ClassSignature, failure.Class)
	require.Equal(t, 3, failure.ExitCode())
	requireHolds(t, dir, s.fulls[0])
}

func TestWhatIsNoPlaceForAMirror(t *testing.T) {
	s := newStory(t)
	full := written(t, "full", s.fulls[0])
	for says, dir := range map[string]string{"is a mirror already": s.at(t), "is not empty": filepath.Dir(full)} {
		before := everything(t, dir)
		_, err := mirror.Init(t.Context(), dir, full, trust(t))
		require.ErrorContains(t, err, says)
		require.Equal(t, before, everything(t, dir))
	}
	dir := filepath.Join(t.TempDir(), "site")
	_, err := mirror.Init(t.Context(), dir, s.names["12"], trust(t))
	require.ErrorContains(t, err, "begins with a full mirror")
	require.NoDirExists(t, dir)
	_, err = mirror.Look(t.Context(), dir, false, mirror.Options{})
	require.ErrorContains(t, err, "holds no mirror")
	_, err = mirror.Apply(t.Context(), t.TempDir(), []string{s.names["12"]}, trust(t))
	require.ErrorContains(t, err, "holds no mirror")
}

// A delta of one mirror twice changes nothing, and says so.
func TestAnEmptyDelta(t *testing.T) {
	s := newStory(t)
	dir := s.at(t)
	var said []string
	o := trust(t)
	o.Say = func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	for range 2 {
		outcome, err := mirror.Apply(t.Context(), dir, []string{s.names["11"]}, o)
		require.NoError(t, err)
		require.Empty(t, outcome.Done)
		require.Contains(t, strings.Join(said, "\n"), "changes nothing")
		requireHolds(t, dir, s.fulls[0])
	}
	empty := s.m.Delta(t, s.fulls[0], s.fulls[0])
	require.Contains(t, string(empty.Data(t, bundle.ReadmePath)), "This delta is empty: it was made of one mirror twice")

	// Another run that found the same documents is another mirror.
	again := s.m.Full(t, 2, mirrortest.Document{Kind: "vex", ID: "a"})
	later := s.m.Full(t, 3, mirrortest.Document{Kind: "vex", ID: "a"})
	same := s.m.Delta(t, again, later)
	require.Contains(t, string(same.Data(t, bundle.ReadmePath)), "This delta is empty: both mirrors hold the same documents")
	dir = filepath.Join(t.TempDir(), "site")
	_, err := mirror.Init(t.Context(), dir, written(t, "again", again), trust(t))
	require.NoError(t, err)
	_, err = mirror.Apply(t.Context(), dir, []string{written(t, "same", same)}, trust(t))
	require.NoError(t, err)
	requireHolds(t, dir, later)
}

// Every bit of a delta counts: of what is signed, and of 20,000 of its payload.
func TestEveryBitOfADeltaCounts(t *testing.T) {
	t.Parallel()
	m := mirrortest.Maker{Signer: bundletest.Key(t, 1)}
	document := func(id, text string) mirrortest.Document {
		return mirrortest.Document{Kind: "vex", ID: id, Subject: id, Original: text}
	}
	base := m.Full(t, 1, document("a", "1"), document("b", "1"))
	d := m.Delta(t, base, m.Full(t, 2, document("a", "2"), document("c", "1")))
	flipped, all := adaptertest.RefuseFlips(t, d.Archive, adaptertest.Remember(t, d.Archive, bundletest.Verifier(t, m.Signer)), 1)
	t.Logf("%d of %d bits", flipped, all)

	// And through the command, of every part some.
	dir := filepath.Join(t.TempDir(), "site")
	_, err := mirror.Init(t.Context(), dir, written(t, "full", base), trust(t))
	require.NoError(t, err)
	before := everything(t, dir)
	spoilt := filepath.Join(t.TempDir(), "spoilt")
	chance := rand.New(rand.NewPCG(3, 3))
	for range 60 {
		archive := bytes.Clone(d.Archive)
		archive[chance.IntN(len(archive))] ^= 1 << chance.IntN(8)
		require.NoError(t, os.WriteFile(spoilt, archive, 0o600))
		_, err := mirror.Apply(t.Context(), dir, []string{spoilt}, trust(t))
		require.ErrorAs(t, err, new(*verify.Error))
	}
	require.Equal(t, before, everything(t, dir))
}

// signedWrong are deltas that whoever holds the key made wrongly: all is signed, and
// base and delta do not give the target.
func TestADeltaThatIsSignedAndWrong(t *testing.T) {
	s := newStory(t)
	dir := s.at(t)
	good := s.m.Delta(t, s.fulls[0], s.fulls[1])
	files := map[string]bundletest.File{}
	for _, c := range good.Manifest.Contents {
		files[c.Path] = bundletest.File{Path: c.Path, Stored: good.Data(t, c.Path),
			Info: bundle.PayloadInfo{ContentDigest: c.ContentDigest, ContentSize: c.ContentBytes, Records: c.Records}}
	}
	first := func(dir string) string {
		for _, path := range slices.Sorted(maps.Keys(files)) {
			if strings.HasPrefix(path, dir) {
				return path
			}
		}
		t.Fatal("the delta has nothing in " + dir)
		return ""
	}
	for name, spoil := range map[string]func(o *bundletest.Options){
		"without a file of lines":   func(o *bundletest.Options) { drop(o, first("data/raw/")) },
		"without the results":       func(o *bundletest.Options) { drop(o, first("data/result/")) },
		"without removed originals": func(o *bundletest.Options) { drop(o, first("data/removed/originals-")) },
		"a changed line": func(o *bundletest.Options) {
			rewrite(t, o, first("data/raw/"), func(line string) string { return strings.Replace(line, `"text":"`, `"text":"X`, 1) })
		},
		"a line twice": func(o *bundletest.Options) {
			rewrite(t, o, first("data/raw/"), func(line string) string { return line + "\n" + line })
		},
		"a result elsewhere": func(o *bundletest.Options) {
			rewrite(t, o, first("data/result/"), func(line string) string {
				return strings.Replace(line, `"path":"README.md"`, `"path":"data/raw/vex-0000000000000000.jsonl.zst"`, 1)
			})
		},
		"another page": func(o *bundletest.Options) {
			rewrite(t, o, first("data/result/"), func(line string) string { return strings.Replace(line, `"path":"README.md"`, `"path":"README.mm"`, 1) })
		},
		"another manifest": func(o *bundletest.Options) {
			rewrite(t, o, first("data/result/"), func(line string) string {
				r, err := delta.ParseResult([]byte(line))
				require.NoError(t, err)
				if r.Path == bundle.ManifestPath {
					r.Content = s.fulls[2].Data(t, bundle.ManifestPath)
				}
				text, err := r.Encode()
				require.NoError(t, err)
				return string(text)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := s.m
			m.Change = func(o *bundletest.Options) {
				if o.Variant == "delta" {
					spoil(o)
					recount(t, o)
				}
			}
			before := everything(t, dir)
			_, err := mirror.Apply(t.Context(), dir, []string{written(t, "wrong", m.Delta(t, s.fulls[0], s.fulls[1]))}, trust(t))
			require.Error(t, err)
			var why interface{ ExitCode() int }
			require.True(t, errors.As(err, &why), err)
			require.Contains(t, []int{2, 4}, why.ExitCode(), err)
			require.Equal(t, before, everything(t, dir), "%v", err)
			t.Log(err)
		})
	}
}

// recount makes the delta say as many documents as its files of lines have: one that
// does not is no manifest.
func recount(t testing.TB, o *bundletest.Options) {
	t.Helper()
	lines := int64(0)
	for _, f := range o.Files {
		if bundle.IsEvidence(f.Path) {
			lines += f.Info.Records
		}
	}
	at := slices.IndexFunc(o.Files, func(f bundletest.File) bool { return f.Path == bundle.DeltaPath })
	said, err := bundle.DeltaOf(o.Files[at].Stored)
	require.NoError(t, err)
	if lines == said.Added+said.Changed {
		return
	}
	said.Added, said.Changed = lines, 0
	text, err := said.Encode()
	require.NoError(t, err)
	o.Files[at] = bundletest.File{Path: bundle.DeltaPath, Stored: text,
		Info: bundle.PayloadInfo{ContentDigest: bundle.DigestOf(text), ContentSize: int64(len(text)), Records: o.Files[at].Info.Records}}
}

func drop(o *bundletest.Options, path string) {
	o.Files = slices.DeleteFunc(o.Files, func(f bundletest.File) bool { return f.Path == path })
}

// rewrite packs a file of lines anew.
func rewrite(t testing.TB, o *bundletest.Options, path string, change func(line string) string) {
	t.Helper()
	for i, f := range o.Files {
		if f.Path != path {
			continue
		}
		content, err := bundle.OpenPayload(bytes.NewReader(f.Stored))
		require.NoError(t, err)
		var text, stored bytes.Buffer
		_, err = text.ReadFrom(content)
		require.NoError(t, err)
		w, err := bundle.NewPayloadWriter(&stored)
		require.NoError(t, err)
		for line := range strings.Lines(text.String()) {
			for part := range strings.SplitSeq(change(strings.TrimSuffix(line, "\n")), "\n") {
				require.NoError(t, w.WriteLine([]byte(part)))
			}
		}
		o.Files[i].Info, err = w.Close()
		require.NoError(t, err)
		o.Files[i].Stored = stored.Bytes()
	}
}

// What changed on the disk meanwhile is found: in what is packed again, and in what is
// only linked.
func TestABaseThatHasChangedIsFound(t *testing.T) {
	s := newStory(t)
	for _, name := range []string{"manifests/export.json", "README.md", "data/policy/pack.tar.gz", "data/raw/", "data/original/", "indexes/originals-"} {
		dir := s.at(t)
		tree, err := filepath.EvalSymlinks(filepath.Join(dir, "current", "tree"))
		require.NoError(t, err)
		for path, content := range filesOf(t, tree) {
			if strings.HasPrefix(path, name) {
				spoilt := []byte(content)
				if len(spoilt) == 0 {
					spoilt = []byte{0}
				}
				spoilt[len(spoilt)/2] ^= 1
				require.NoError(t, os.WriteFile(filepath.Join(tree, path), spoilt, 0o600))
			}
		}
		_, err = mirror.Look(t.Context(), dir, true, trust(t))
		require.Error(t, err, name)
		if name == "README.md" { // the delta brings another one
			continue
		}
		before := everything(t, dir)
		_, err = mirror.Apply(t.Context(), dir, []string{s.names["12"]}, trust(t))
		require.Error(t, err, name)
		require.Equal(t, before, everything(t, dir))
	}
	dir := s.at(t)
	for _, stray := range []string{"stray", "data/raw/stray", "data/original/vex/stray"} {
		path := filepath.Join(dir, "current", "tree", stray)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		_, err := mirror.Look(t.Context(), dir, true, trust(t))
		require.Error(t, err, stray)
		require.NoError(t, os.Remove(path))
	}
	_, err := mirror.Look(t.Context(), dir, true, trust(t))
	require.NoError(t, err)
}

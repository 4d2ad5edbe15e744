package tuf_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/tuf"
)

// goTUF is the updater of go-tuf, at the moment of the tests.
func goTUF(t *testing.T, home, site string, targets []string) error {
	root, err := os.ReadFile(filepath.Join(home, "root.json"))
	require.NoError(t, err)
	cfg, err := config.New(site+"/tuf", root)
	require.NoError(t, err)
	cfg.LocalMetadataDir, cfg.LocalTargetsDir, cfg.RemoteTargetsURL = home, filepath.Join(home, "download"), site
	up, err := updater.New(cfg)
	if err != nil {
		return err
	}
	up.UnsafeSetRefTime(bundletest.TUFMoment)
	if err := up.Refresh(); err != nil {
		return err
	}
	if n := len(up.GetTopLevelTargets()); n != len(targets) {
		return fmt.Errorf("%d targets, want %d", n, len(targets))
	}
	for _, target := range targets {
		info, err := up.GetTargetInfo(target)
		if err != nil {
			return err
		}
		if _, _, err := up.DownloadTarget(info, "", ""); err != nil {
			return err
		}
	}
	return nil
}

// tufClient is the program that go-tuf comes with.
func tufClient(t *testing.T, home, site string, targets []string) error {
	program := testkit.Tool(t, "tuf-client")
	run := func(words ...string) error {
		command := exec.Command(program, words...)
		command.Dir = home
		if said, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("tuf-client %s: %w\n%s", words[0], err, said)
		}
		return nil
	}
	if _, err := os.Stat(filepath.Join(home, "tuf_metadata")); os.IsNotExist(err) {
		require.NoError(t, os.RemoveAll(filepath.Join(home, "tuf_download")))
		if err := run("init", "-f", "root.json", "-u", site+"/tuf"); err != nil {
			return err
		}
		require.NoError(t, os.Remove(filepath.Join(home, "download")))
		require.NoError(t, os.Symlink("tuf_download", filepath.Join(home, "download")))
	}
	for _, target := range targets {
		if err := run("get", target, "-u", site+"/tuf", "-t", site); err != nil {
			return err
		}
	}
	return nil
}

// tufJS is tuf-js, which shares no code with go-tuf.
func tufJS(t *testing.T, home, site string, targets []string) error {
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("missing: npm, which brings tuf-js; the second opinion is left out where it is not at hand")
	}
	node := testkit.Tool(t, "node")
	modules := filepath.Join(testkit.Root(t), ".tools", "tuf-js", "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "tuf-js", "package.json")); err != nil {
		testkit.Missing(t, "tuf-js, in .tools/tuf-js (run `make tools`)")
	}
	script, err := filepath.Abs(filepath.Join("testdata", "visit.js"))
	require.NoError(t, err)
	command := exec.Command(node, append([]string{script, home, site}, targets...)...)
	command.Env = append(os.Environ(), "NODE_PATH="+modules)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("tuf-js: %w\n%s", err, said)
	}
	return nil
}

var clients = []client{{"go-tuf", goTUF}, {"tuf-client", tufClient}, {"tuf-js", tufJS}}

// ofEach runs a test with every client, and a chain of two roots by two keys.
func ofEach(t *testing.T, algorithm signing.Algorithm, do func(t *testing.T, c client, chain tuf.Chain, online signing.Signer)) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			online := bundletest.Key(t, 1, algorithm)
			do(t, c, lasting(t, online), online)
		})
	}
}

// lasting is a chain of two roots that no clock ends.
func lasting(t *testing.T, online signing.Signer) tuf.Chain {
	first, second := bundletest.RootKey(t, 1), bundletest.RootKey(t, 2)
	chain := tuf.Chain(bundletest.RootsFor(t, online))
	return bundletest.TUFRootLasting(t, chain, first, second, online)
}

// Any TUF client follows a mirror as it was unpacked, from its first root, and again
// when a newer one lies in its place.
func TestClientsDownloadEveryTarget(t *testing.T) {
	for _, algorithm := range []signing.Algorithm{signing.ECDSAP256, signing.Ed25519} {
		t.Run(string(algorithm), func(t *testing.T) {
			ofEach(t, algorithm, func(t *testing.T, c client, chain tuf.Chain, online signing.Signer) {
				old, fresh := mirror(t, chain, online, 7, always), mirror(t, chain, online, 8, always)
				require.NoError(t, verdict(t, old.archive, online, chain[0].Raw, 6))
				home := newHome(t, chain[0].Raw)
				require.NoError(t, c.visit(t, home, old.url, old.targets))
				downloaded(t, home, old)
				require.NoError(t, c.visit(t, home, old.url, old.targets), "nothing is new")
				require.NoError(t, c.visit(t, home, fresh.url, fresh.targets))
				downloaded(t, home, fresh)
			})
		})
	}
}

// What others refuse is refused here, and the other way round.
func TestClientsRefuseAttacks(t *testing.T) {
	metadata := []string{bundle.TUFRootPath, bundle.TUFRootPathOf(1), bundle.TUFRootPathOf(2), bundle.TUFTargetsPath, bundle.TUFSnapshotPath, bundle.TUFTimestampPath}
	for _, of := range []struct {
		name string
		// seen is whether the client has visited the newer mirror before.
		seen bool
		do   func(t *testing.T, s, older, ended *site)
	}{
		{"rollback: the whole of an older mirror", true, func(t *testing.T, s, older, _ *site) {
			s.take(t, older, append(metadata, older.targets...)...)
		}},
		{"rollback: the targets of an older one", false, func(t *testing.T, s, older, _ *site) { s.take(t, older, bundle.TUFTargetsPath) }},
		{"mix-and-match: an older snapshot with its targets", false, func(t *testing.T, s, older, _ *site) {
			s.take(t, older, bundle.TUFSnapshotPath, bundle.TUFTargetsPath)
		}},
		{"mix-and-match: the snapshot of other targets", false, func(t *testing.T, s, older, _ *site) { s.take(t, older, bundle.TUFSnapshotPath) }},
		{"rollback: an older timestamp", false, func(t *testing.T, s, older, _ *site) { s.take(t, older, bundle.TUFTimestampPath) }},
		{"freeze: a timestamp that has ended", false, func(t *testing.T, s, _, ended *site) {
			s.take(t, ended, append(metadata, ended.targets...)...)
		}},
		{"wrong hash: a file that is not the one of the targets", false, func(t *testing.T, s, _, _ *site) {
			content := s.get(t, s.targets[2])
			content[len(content)/2] ^= 1
			s.put(t, s.targets[2], content)
		}},
		{"wrong length: a file that goes on", false, func(t *testing.T, s, _, _ *site) {
			s.put(t, s.targets[2], append(s.get(t, s.targets[2]), 0))
		}},
		{"a target that is not there", false, func(t *testing.T, s, _, _ *site) {
			require.NoError(t, os.Remove(filepath.Join(s.dir, filepath.FromSlash(s.targets[2]))))
		}},
		{"a root of somebody else", false, func(t *testing.T, s, _, _ *site) {
			thief := bundletest.RootKey(t, 9)
			made, err := tuf.NewRoot(2, "2099-01-01T00:00:00Z", []tuf.Key{bundletest.TUFKey(t, thief)}, []tuf.Key{bundletest.TUFKey(t, bundletest.Key(t, 1))})
			require.NoError(t, err)
			s.put(t, bundle.TUFRootPathOf(2), signRoot(t, made, thief))
			s.put(t, bundle.TUFRootPath, signRoot(t, made, thief))
		}},
	} {
		t.Run(of.name, func(t *testing.T) {
			ofEach(t, signing.ECDSAP256, func(t *testing.T, c client, chain tuf.Chain, online signing.Signer) {
				s := mirror(t, chain, online, 8, always)
				older, ended := mirror(t, chain, online, 7, always), mirror(t, chain, online, 8, never)
				home := newHome(t, chain[0].Raw)
				newerThan := int64(0)
				if of.seen {
					require.NoError(t, c.visit(t, home, s.url, s.targets))
					newerThan = 8
				}
				of.do(t, s, older, ended)
				require.Error(t, c.visit(t, home, s.url, s.targets))
				require.Error(t, s.ourVerdict(t, online, chain[0].Raw, newerThan))
			})
		})
	}
}

package trivydb

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// TestSuite holds this adapter to what every adapter is held to. Trivy's own
// reader opens the database.
func TestSuite(t *testing.T) { adaptertest.Run(t, subject(t)) }

// TestEveryBitCounts flips bits of a signed bundle of this kind.
func TestEveryBitCounts(t *testing.T) { adaptertest.Flips(t, subject(t)) }

func subject(t *testing.T) adaptertest.Subject {
	t.Helper()
	return adaptertest.Subject{
		Work: adaptertest.Work{Adapter: Adapter{}, Documents: adaptertest.Lines(t, adaptertest.Sample(t)...)},
		Read: func(t *testing.T, r adaptertest.Result) map[string]int64 {
			dir := t.TempDir()
			file, err := os.Create(filepath.Join(dir, "trivy.db"))
			require.NoError(t, err)
			_, err = bundle.ReadLayer(bytes.NewReader(r.At(t, bundle.TrivyDBPath)), 1<<30, file)
			require.NoError(t, err)
			require.NoError(t, file.Close())
			require.NoError(t, db.Init(dir))
			defer db.Close() //nolint:errcheck // only read
			return map[string]int64{bundle.TrivyDBPath: recordsIn(t, db.Config{}), bundle.TrivySummaryPath: 1}
		},
		Refused: map[string]export.Options{
			"makes databases of schema 2, not 3": {SchemaVersion: 3},
			"a redaction cannot be followed":     {Redaction: &export.Redaction{PolicyID: "p", Allow: map[string][]string{"advisory": {"*"}}}},
		},
	}
}

// TestOneSchema: Trivy's reader, what is promised and what is written agree.
func TestOneSchema(t *testing.T) {
	require.Equal(t, schema, db.SchemaVersion)
	require.Equal(t, schema, export.DatabaseSchema("trivy", "db"))
	_, err := Adapter{}.Packer(export.Options{SchemaVersion: schema})
	require.NoError(t, err)
}

// recordsIn counts the records of packages that Trivy's reader sees.
func recordsIn(t testing.TB, r db.Config) (n int64) {
	t.Helper()
	require.NoError(t, r.Connection().View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(root []byte, packages *bolt.Bucket) error {
			if string(root) == redHatCPERoot {
				return nil
			}
			return packages.ForEachBucket(func(name []byte) error {
				return packages.Bucket(name).ForEach(func(id, value []byte) error {
					if len(value) == 0 {
						return fmt.Errorf("%s %s %s is empty", root, name, id)
					}
					n++
					return nil
				})
			})
		})
	}))
	require.Positive(t, n)
	return n
}

package ledger_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger"
)

func TestEcosystems(t *testing.T) {
	for purl, want := range map[string]string{
		"pkg:golang/a/b@v1": "Go", "pkg:deb/debian/x": "Debian", "pkg:RPM/RedHat/x": "Red Hat", "pkg:rpm/odd/x": "", "pkg:oci/x": "",
		"pkg:": "", "npm/x": "", "": "",
	} {
		require.Equal(t, want, ledger.EcosystemOf(purl), purl)
	}
}

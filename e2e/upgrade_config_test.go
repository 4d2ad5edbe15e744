package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// unknownField is how a release refuses a configuration that has more than it knows.
var unknownField = regexp.MustCompile(`field (\w+) not found in type`)

// withoutNewMembers gives a program that starts the previous release's with what it
// knows of the configuration, as docs/upgrade.md asks of whoever goes back: its parts
// beside ours have the house's configuration without the members it refuses.
func (u *upgrade) withoutNewMembers(t *testing.T, program string) string {
	t.Helper()
	out, err := exec.Command(program, "migrate", "--data", u.house.dir).CombinedOutput()
	var names []string
	for _, found := range unknownField.FindAllStringSubmatch(string(out), -1) {
		names = append(names, found[1])
	}
	if len(names) == 0 {
		require.NoError(t, err, "%s", out)
		return program
	}
	t.Logf("members of the configuration that the previous release does not know: %s", strings.Join(names, ", "))
	// Its `up` starts its parts by itself, and Temporal from where it is.
	require.NoError(t, os.Symlink(filepath.Join(u.bin, "exportcenter-temporal"), filepath.Join(filepath.Dir(program), "exportcenter-temporal")))
	wrapper := filepath.Join(t.TempDir(), "exportcenter")
	script := fmt.Sprintf(`#!/bin/sh
case "$1 $2" in
"worker --data"|"api --data"|"migrate --data") file=$3/config.yaml ;;
"worker --config"|"api --config"|"migrate --config") file=$3 ;;
*) exec '%[1]s' "$@" ;;
esac
known=$(mktemp '%[2]s/config-XXXXXX') || exit 1
awk -v names='%[3]s' '
BEGIN { split(names, list, " "); for (i in list) unknown[list[i]] = 1; below = -1 }
{
  match($0, /^ */); indent = RLENGTH; key = $1; sub(/:$/, "", key)
  if (below >= 0 && indent > below) next
  below = -1
  if (key in unknown) { below = indent; next }
  print
}' "$file" > "$known" || exit 1
exec '%[1]s' "$1" --config "$known"
`, program, t.TempDir(), strings.Join(names, " "))
	require.NoError(t, os.WriteFile(wrapper, []byte(script), 0o755))
	return wrapper
}

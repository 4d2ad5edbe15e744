#!/bin/sh
# What `make check` runs: formatting, vet, staticcheck, workflowcheck, the test
# that holds the house, and whether generated files are up to date. All of them
# run; the exit code is 1 if one of them found something.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:--trimpath}"
bin=.tools/bin
failed=""

# check runs the command after the name $1.
check() {
	name=$1
	shift
	echo "== $name"
	"$@" || failed="$failed $name"
}

sources() { git ls-files --cached --others --exclude-standard -- '*.go'; }

formatting() {
	unformatted=$(sources | while read -r f; do [ ! -f "$f" ] || echo "$f"; done | xargs gofmt -l)
	[ -z "$unformatted" ] || {
		echo "not formatted; run gofmt -w on:"
		echo "$unformatted"
		return 1
	}
}

vet() { go vet ./... && go vet -tags torture,planted,record ./e2e; }

lint() { "$bin/staticcheck" ./...; }

# deterministic watches what workflow code may do (no clock, chance, threads).
deterministic() {
	[ ! -d workflows ] || "$bin/workflowcheck" ./workflows/...
}

house() { go test -count=1 .; }

# generated writes the generated files again and compares. When they differ the
# new ones stay, for `git diff` to show.
generated() {
	files=$(sources | xargs grep -l '^// Code generated .* DO NOT EDIT\.$' -- 2>/dev/null | grep -E '^(frontend|client)/' || true)
	[ -n "$files" ] || return 0
	before=$(sha256sum $files)
	go generate ./frontend/... ./client/... || return 1
	after=$(sha256sum $files)
	[ "$before" = "$after" ] || {
		echo "generated files were not up to date; look at git diff and commit:"
		echo $files
		return 1
	}
}

REQUIRE_TOOLS=1 tools/install.sh oapi-codegen staticcheck workflowcheck
check formatting formatting
check vet vet
check staticcheck lint
check workflowcheck deterministic
check house house
check generated generated

[ -z "$failed" ] || {
	echo "failed:$failed"
	exit 1
}
echo "all checks passed"

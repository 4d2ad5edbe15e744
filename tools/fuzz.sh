#!/bin/sh
# Runs every fuzz target of the project, one after another, for FUZZTIME each
# (default 60s), on one processor. Inputs that fail are written below testdata/fuzz
# of their folder and are part of `go test` from then on. The exit code is 1 if a
# target failed or did next to nothing.
#
#   tools/fuzz.sh                everything
#   tools/fuzz.sh ./bundle ...   only these folders
#
# -fuzzminimizetime is in runs: by default Go spends up to a minute on making one
# interesting input smaller, which for archives is all the time there is.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:--trimpath}"
[ $# -gt 0 ] || set -- $(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n 1 dirname | sort -u | sed 's|^|./|')
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=""
for folder in "$@"; do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$folder"/*_test.go); do
		code=0
		go test "$folder" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-60s}" -fuzzminimizetime 10x -parallel 1 >"$log" 2>&1 || code=$?
		runs=$(sed -n 's/.* execs: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
		echo "$folder $target: ${runs:-0} runs"
		if [ "$code" -ne 0 ] || [ "${runs:-0}" -lt 100 ]; then
			cat "$log"
			failed="$failed $folder:$target"
		fi
	done
done
[ -z "$failed" ] || {
	echo "failed:$failed"
	exit 1
}

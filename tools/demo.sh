#!/bin/bash
# What `make demo` runs: the whole way of a few advisories, on free ports, in a
# temporary directory: start, import, export, download, verify - with our own
# verifier and with the programs of others that are here - and stop.
#
#   KEEP=1    leave everything running and say how to use and stop it
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d "${TMPDIR:-/tmp}/exportcenter-demo.XXXXXX")
chmod 711 "$work" # as root, PostgreSQL runs as another user and passes through
data=$work/data
bundle=$work/bundle.tar
up=

say() { printf '\n== %s\n' "$*"; }

# stop ends what was started and waits for it; its exit code is that of `up`.
stop() {
	local code=0
	[ -n "$up" ] || return 0
	kill -TERM "$up" 2>/dev/null || true
	wait "$up" || code=$?
	up=
	return "$code"
}

# failed shows what everybody said last; whatever was started ends.
failed() {
	local code=$?
	trap - EXIT
	[ "$code" -ne 0 ] || code=1
	printf '\nThe demo failed. The ends of the logs:\n' >&2
	stop || true
	for log in "$work"/up.log "$data"/logs/*.log; do
		[ -f "$log" ] || continue
		printf -- '--- %s\n' "$log" >&2
		tail -n 20 "$log" >&2
	done
	printf 'Everything is left in %s\n' "$work" >&2
	exit "$code"
}
trap failed EXIT
trap 'exit 130' INT TERM

# await_ready waits for the file that `up` writes when everything is ready.
await_ready() {
	for _ in $(seq 1 1800); do
		[ ! -f "$data/run/up.ready" ] || return 0
		kill -0 "$up" 2>/dev/null || {
			echo "exportcenter up ended before it was ready" >&2
			return 1
		}
		sleep 0.1
	done
	echo "exportcenter up was not ready after three minutes" >&2
	return 1
}

# foreign finds a program: pinned by `make tools`, else in PATH.
foreign() {
	if [ -x ".tools/bin/$1" ]; then
		echo "$PWD/.tools/bin/$1"
	else
		command -v "$1"
	fi
}

# field takes a string field out of one JSON document, for want of jq.
field() { sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p' | head -n 1; }

say "start (data in $data)"
# In a session of its own it does not get this terminal's Ctrl-C; we stop it.
setsid bin/exportcenter up --data "$data" --listen 127.0.0.1:0 >"$work/up.log" 2>&1 &
up=$!
await_ready
cat "$work/up.log"
# shellcheck disable=SC1091
. "$data/env"

say "import sample advisories, an SBOM and a VEX document"
bin/stella ledger import ledger/sample/osv ledger/sample/sbom ledger/sample/vex

say "export, and download when it is done"
bin/stella export run json:raw --wait --output "$bundle" --format json | tee "$work/run.json"

say "verify with stella"
bin/stella verify "$bundle" --trust "$STELLA_TRUST"

say "verify with the programs of others"
mkdir "$work/unpacked"
tar -xf "$bundle" -C "$work/unpacked"
if foreign sha256sum >/dev/null; then
	(cd "$work/unpacked" && sha256sum --quiet -c checksums.txt)
	echo "sha256sum -c checksums.txt: ok"
else
	echo "sha256sum is not here: skipped"
fi
if zstd=$(foreign zstd); then
	(cd "$work/unpacked" && "$zstd" -q -t data/raw/*.zst)
	echo "zstd -t: ok, $("$zstd" -dc "$work"/unpacked/data/raw/*.zst | wc -l) documents"
else
	echo "zstd is not here: skipped"
fi
if cosign=$(foreign cosign); then
	(
		cd "$work/unpacked"
		key=$(ls "$STELLA_TRUST"/*.pub)
		"$cosign" verify-blob --key "$key" --bundle signatures/export.sigstore.json \
			--insecure-ignore-tlog manifests/export.json
		"$cosign" verify-blob-attestation --key "$key" --bundle signatures/provenance.sigstore.json \
			--insecure-ignore-tlog --type slsaprovenance1 manifests/export.json
	)
	echo "cosign verify-blob, verify-blob-attestation: ok"
else
	echo "cosign is not here (make tools builds it): skipped"
fi

say "decide by the built-in policy, and let others decide again from the bundle alone"
bin/stella export run json:policy --wait --output "$work/policy.tar"
bin/stella verify "$work/policy.tar" --trust "$STELLA_TRUST" | sed -n 1p
bin/exportcenter policy replay "$work/policy.tar" --trust "$STELLA_TRUST"

say "a vulnerability database for Trivy"
bin/stella export run trivy:db --wait --output "$work/trivy.tar"
bin/stella verify "$work/trivy.tar" --trust "$STELLA_TRUST" | sed -n 1p
mkdir -p "$work/cache/db"
tar -xOf "$work/trivy.tar" trivy/db.tar.gz | tar -xzf - -C "$work/cache/db"
if trivy=$(foreign trivy); then
	"$trivy" sbom --cache-dir "$work/cache" --skip-db-update --skip-java-db-update --offline-scan --skip-version-check --quiet --table-mode summary ledger/sample/sbom/quayside-shop.cdx.json
else
	echo "trivy is not here (make tools builds it): skipped"
fi

say "a mirror for a site without a network"
bin/stella export run mirror:full --wait --output "$work/mirror.tar" --format json >"$work/mirror.json"
bin/stella mirror init "$work/site" "$work/mirror.tar" --trust "$STELLA_TRUST"

say "an advisory comes in; the site gets what changed, and nothing else"
mkdir "$work/news"
cat >"$work/news/demo.json" <<'END'
{"id": "EXC-DEMO-2026-0001", "modified": "2026-11-22T08:00:00Z", "summary": "Lanterns may be lit twice",
 "affected": [{"package": {"ecosystem": "npm", "name": "quayside-lantern"},
  "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.4.2"}]}]}]}
END
bin/stella ledger import "$work/news"
bin/stella export run mirror:full --wait --output "$work/mirror-2.tar" --format json >"$work/mirror-2.json"
bin/stella export diff "$(field runId <"$work/mirror.json")" "$(field runId <"$work/mirror-2.json")"
bin/stella export run mirror:delta --base "$(field runId <"$work/mirror.json")" --wait --output "$work/delta.tar"
bin/stella mirror apply --base "$work/site" "$work/delta.tar" --trust "$STELLA_TRUST"
bin/stella mirror status "$work/site" --verify --trust "$STELLA_TRUST"

say "anybody who has the mirror builds it again"
bin/exportcenter rebuild --from "$work/mirror-2.tar" --trust "$STELLA_TRUST"

say "where everything is"
cat <<END
  bundle         $bundle
  unpacked       $work/unpacked
  mirror         $work/site/current
  trusted keys   $STELLA_TRUST
  payloadDigest  $(field payloadDigest <"$work/run.json")
  data and logs  $data
END

if [ "${KEEP:-}" = 1 ]; then
	trap - EXIT
	cat <<END
  API            $STELLA_SERVER

It keeps running. In a shell:  . $data/env
Stop it with:                  kill $up
END
	exit 0
fi

say "stop"
stop
trap - EXIT
echo "The demo went through. Remove $work when you have seen enough."

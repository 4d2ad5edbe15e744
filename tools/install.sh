#!/bin/sh
# Puts the foreign programs that tests and checks use into .tools/bin, in the
# versions pinned here and in tools/go.mod, built from source by the Go
# toolchain. A program that is there in the right version is left alone. What
# could not be had is named at the end, and then the exit code is 0, or 1 with
# REQUIRE_TOOLS=1. Nothing that `make demo` or `make test` needs comes from here.
#
#   tools/install.sh                  everything
#   tools/install.sh staticcheck ...  only these
set -eu
cd "$(dirname "$0")/.."
. tools/debian.sh

bin=$PWD/.tools/bin
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:--trimpath}"
missing=""

# has tells whether .tools/bin holds program $1 built from module $2 at version
# $3. The program itself says so: its build information cannot go stale.
has() {
	[ -x "$bin/$1" ] && go version -m "$bin/$1" 2>/dev/null |
		awk -v module="$2" -v version="$3" '($1 == "mod" || $1 == "dep") && $2 == module && $3 == version { found = 1 } END { exit !found }'
}

# build makes program $1 of module $2 at version $3 with the command that
# follows, which gets the folder to build into as its last argument.
build() {
	program=$1 module=$2 version=$3
	shift 3
	if has "$program" "$module" "$version"; then
		echo "$program $version is there"
		return
	fi
	echo "building $program $version"
	fresh=$PWD/.tools/build-$program.$$
	began=$(date +%s)
	mkdir -p "$bin" "$fresh"
	if "$@" "$fresh" && mv "$fresh/$program" "$bin/$program"; then
		echo "built $program $version in $(($(date +%s) - began)) s"
	else
		missing="$missing $program"
	fi
	rm -rf "$fresh"
}

# from_module builds package $1 as pinned in tools/go.mod.
from_module() { (cd tools && go build -o "$2/" "$1"); }

# alone builds package $1 by its own go.mod, as its authors release it. Its
# weight would swamp the module of the small tools.
alone() { GOBIN=$2 go install -ldflags='-s -w' "$1"; }

# inside builds package $1 of module $2 at version $3 from a module made for it,
# with Go's experiment $4: for programs whose list of versions the module proxy
# refuses, which `go install` reads first, or whose go.mod replaces modules.
inside() {
	mkdir "$5/module" && cd "$5/module" || return 1
	printf 'module inside\n\ngo 1.26.0\n\nrequire %s %s\n' "$2" "$3" >go.mod
	GOEXPERIMENT=$4 go build -mod=mod -ldflags='-s -w' -o "$5/" "$1"
	built=$?
	cd - >/dev/null && return $built
}

# toxiproxy builds the proxy that cuts and slows connections. Its authors call
# the program "server".
toxiproxy() { alone github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0 "$1" && mv "$1/server" "$1/toxiproxy"; }

# pinned prints the version of module $1 in tools/go.mod.
pinned() { awk -v module="$1" '$1 == module && $2 ~ /^v/ { print $2; exit }' tools/go.mod; }

small() { build "$1" "$2" "$(pinned "$2")" from_module "$2$3"; }

# trivy_db is the version of Trivy's own database builder, which `make bench`
# measures ours against. Nothing else needs it: it is built when asked for.
trivy_db=v0.0.0-20251222105351-a833f47f8f0d

# package asks Debian for program $1 in package $2.
package() {
	command -v "$1" >/dev/null 2>&1 || debian_install "$2" || missing="$missing $1"
}

# tuf_js puts tuf-js, as locked in tools/tuf-js, into .tools/tuf-js. It runs no script
# of a package, and needs no network afterwards.
tuf_js() {
	package node nodejs
	package npm npm
	if cmp -s tools/tuf-js/package-lock.json .tools/tuf-js/package-lock.json && [ -d .tools/tuf-js/node_modules/tuf-js ]; then
		echo "tuf-js is there"
		return
	fi
	fresh=$PWD/.tools/build-tuf-js.$$
	mkdir -p "$fresh"
	cp tools/tuf-js/package.json tools/tuf-js/package-lock.json "$fresh"
	if (cd "$fresh" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error); then
		rm -rf .tools/tuf-js
		mv "$fresh" .tools/tuf-js
	else
		rm -rf "$fresh"
		missing="$missing tuf-js"
	fi
}

install() {
	case $1 in
	oapi-codegen) small "$1" github.com/oapi-codegen/oapi-codegen/v2 /cmd/oapi-codegen ;;
	staticcheck) small "$1" honnef.co/go/tools /cmd/staticcheck ;;
	workflowcheck) small "$1" go.temporal.io/sdk/contrib/tools/workflowcheck "" ;;
	cosign) build "$1" github.com/sigstore/cosign/v3 v3.1.3 alone github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3 ;;
	toxiproxy) build "$1" github.com/Shopify/toxiproxy/v2 v2.5.0 toxiproxy ;;
	age | age-keygen) build "$1" filippo.io/age v1.3.2 alone filippo.io/age/cmd/$1@v1.3.2 ;;
	trivy) build "$1" github.com/aquasecurity/trivy v0.69.3 inside github.com/aquasecurity/trivy/cmd/trivy github.com/aquasecurity/trivy v0.69.3 jsonv2 ;;
	oras) build "$1" oras.land/oras v1.2.3 inside oras.land/oras/cmd/oras oras.land/oras v1.2.3 "" ;;
	tuf-client) build "$1" github.com/theupdateframework/go-tuf/v2 v2.4.2 alone github.com/theupdateframework/go-tuf/v2/examples/cli/tuf-client@v2.4.2 ;;
	tuf-js) tuf_js ;;
	trivy-db) build "$1" github.com/aquasecurity/trivy-db "$trivy_db" alone github.com/aquasecurity/trivy-db/cmd/trivy-db@$trivy_db ;;
	sha256sum) package "$1" coreutils ;;
	zstd | jq | openssl | strace) package "$1" "$1" ;;
	*)
		echo "tools/install.sh: no recipe for $1" >&2
		missing="$missing $1"
		;;
	esac
}

[ $# -gt 0 ] || set -- zstd jq sha256sum openssl strace oapi-codegen staticcheck workflowcheck cosign toxiproxy trivy oras age age-keygen tuf-client tuf-js
for name in "$@"; do
	install "$name"
done

if [ -n "$missing" ]; then
	echo "could not be had:$missing" >&2
	echo "tests that need them are skipped by name; with REQUIRE_TOOLS=1 they fail" >&2
	[ "${REQUIRE_TOOLS:-}" != 1 ] || exit 1
fi

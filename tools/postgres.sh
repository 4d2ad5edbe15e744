#!/bin/sh
# Makes sure that PostgreSQL's server programs are here and prints the folder
# that holds them. When they are missing and we may install (root, or sudo
# without a password), they come from Debian's packages; else the exact command
# is printed and the exit code is 1. No database is created and none is
# started: `exportcenter up` runs its own.
set -eu
cd "$(dirname "$0")"
. ./debian.sh

# server_programs prints the newest folder with initdb and postgres.
server_programs() {
	for dir in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5,5nr); do
		if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
			echo "$dir"
			return 0
		fi
	done
	command -v initdb >/dev/null 2>&1 && command -v postgres >/dev/null 2>&1 || return 1
	dirname "$(readlink -f "$(command -v postgres)")"
}

# Debian's package makes and starts a cluster "main" on installation, unless a
# file in this folder says otherwise. It is taken away again afterwards.
dropin=/etc/postgresql-common/createcluster.d/exportcenter-install.conf

install_postgres() {
	if ! root=$(debian_root); then
		debian_install postgresql # prints the command
		return 1
	fi
	$root mkdir -p "$(dirname "$dropin")"
	echo "create_main_cluster = false" | $root tee "$dropin" >/dev/null
	trap '$root rm -f "$dropin"' EXIT INT TERM
	debian_install postgresql
}

server_programs && exit 0
echo "PostgreSQL's server programs (initdb, postgres) are missing" >&2
install_postgres || exit 1
server_programs || {
	echo "installed postgresql, but neither /usr/lib/postgresql/*/bin nor PATH has initdb and postgres" >&2
	exit 1
}

# Sourced by the scripts beside it: how Debian packages are installed.

# debian_root prints the prefix that gives us root without a question: nothing
# for root, "sudo -n" where sudo asks for no password. It fails when there is
# neither, or no apt-get.
debian_root() {
	command -v apt-get >/dev/null 2>&1 || return 1
	if [ "$(id -u)" = 0 ]; then
		return 0
	fi
	command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null || return 1
	echo "sudo -n"
}

# debian_apt runs apt-get without questions and waits for another apt-get.
debian_apt() {
	$(debian_root) env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -qq "$@" >/dev/null
}

# debian_install installs packages, or prints the exact command and fails.
debian_install() {
	if ! debian_root >/dev/null; then
		echo "cannot install packages here (not root, no sudo without a password, or no apt-get). Run:" >&2
		echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $*" >&2
		return 1
	fi
	echo "installing $* with apt-get" >&2
	debian_apt update || echo "apt-get update failed; trying with the lists that are there" >&2
	debian_apt install -y --no-install-recommends "$@"
}

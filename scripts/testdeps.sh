#!/usr/bin/env bash
# Installs the Debian packages that tests use, if it may (root, apt-get), and only
# what is missing. Without them the tests that need them are left out; this says
# which. MOOT_NO_INSTALL=1 keeps it from installing anything.
set -euo pipefail

# what a package is for, as the tests that use it would say
declare -A purpose=(
	[gcc]="race detector and C programs against the Corosync door"
	[libcpg-dev]="C programs against the Corosync door"
	[libquorum-dev]="C programs against the Corosync door"
	[libcfg-dev]="C programs against the Corosync door"
	[libcmap-dev]="C programs against the Corosync door"
	[libvotequorum-dev]="C programs against the Corosync door"
	[corosync]="Corosync's own tools against the Corosync door, comparison with its daemon"
	[nftables]="faults between network namespaces"
	[iproute2]="clusters in network namespaces"
)

# missing prints which of the packages are not installed.
missing() {
	local p
	for p in "${!purpose[@]}"; do
		if ! dpkg-query -W -f='${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed; then
			echo "$p"
		fi
	done | sort
}

# install takes package names. Daemons are not started: a test starts its own.
install() {
	local policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	timeout 120 apt-get -q update && timeout 300 apt-get -q install -y --no-install-recommends "$@"
}

command -v dpkg-query >/dev/null || {
	echo "testdeps: this is no Debian; tests that miss a program or header will be left out and say so"
	exit 0
}
mapfile -t need < <(missing)
[ ${#need[@]} -gt 0 ] || exit 0

why=""
if [ -n "${MOOT_NO_INSTALL:-}" ]; then
	why="MOOT_NO_INSTALL is set"
elif [ "$(id -u)" != 0 ]; then
	why="that takes root"
elif ! command -v apt-get >/dev/null; then
	why="there is no apt-get"
elif ! install "${need[@]}" >&2; then
	why="apt-get failed"
fi

mapfile -t need < <(missing)
[ ${#need[@]} -gt 0 ] || exit 0
echo "testdeps: not installed (${why:-apt-get left them out}), so these tests will be left out:"
for p in "${need[@]}"; do
	echo "  $p: ${purpose[$p]}"
done

#!/usr/bin/env bash
# Installs the Debian packages that tests use, if it may (root, apt-get), and only
# what is missing. Without them the tests that need them are left out; this says
# which. MOOT_NO_INSTALL=1 keeps it from installing anything.
set -euo pipefail

declare -A purpose=(
	[gcc]="race detector, the C libraries, and C programs against the Corosync door"
	[libc6-dev]="what gcc compiles: the C libraries among them"
	[libcpg-dev]="C programs against the Corosync door"
	[libquorum-dev]="C programs against the Corosync door"
	[libcfg-dev]="C programs against the Corosync door"
	[libcmap-dev]="C programs against the Corosync door"
	[libvotequorum-dev]="C programs against the Corosync door"
	[corosync]="Corosync's own tools against the Corosync door, comparison with its daemon"
	[nftables]="faults between network namespaces"
	[iproute2]="clusters in network namespaces"
)

. "$(dirname "$0")/debs.sh"
want_debs testdeps

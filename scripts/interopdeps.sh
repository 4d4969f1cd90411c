#!/usr/bin/env bash
# Installs what make interop runs on clusters of either daemon, if it may (root,
# apt-get), and only what is missing; it says what will be left out. No daemon is
# started. MOOT_NO_INSTALL=1 keeps it from installing anything.
set -euo pipefail

declare -A purpose=(
	[pacemaker]="Pacemaker on three nodes"
	[pacemaker-cli-utils]="Pacemaker on three nodes: crm_mon, crm_resource, cibadmin"
	[corosync-qdevice]="two nodes with a quorum device"
	[corosync-qnetd]="two nodes with a quorum device: its server"
	[corosync-notifyd]="notifications of changes"
	[resource-agents]="resources that Pacemaker starts"
)

"$(dirname "$0")/testdeps.sh"
. "$(dirname "$0")/debs.sh"
want_debs interopdeps

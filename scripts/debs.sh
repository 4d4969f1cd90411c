# Debian packages that tests use. To be sourced, after an array "purpose" was
# declared: what each package is for, as the tests that use it would say.

# missing_debs prints which packages are not installed.
missing_debs() {
	local p
	for p in "${!purpose[@]}"; do
		if ! dpkg-query -W -f='${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed; then
			echo "$p"
		fi
	done | sort
}

# install_debs takes package names. Daemons are not started: a test starts its
# own.
install_debs() {
	local policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	timeout 120 apt-get -q update && timeout 300 apt-get -q install -y --no-install-recommends "$@"
}

# want_debs installs what is missing, if it may (root, apt-get, MOOT_NO_INSTALL
# not set), and says what the tests will lack, under the name of the script.
want_debs() {
	local name=$1 why="" need p
	command -v dpkg-query >/dev/null || {
		echo "$name: this is no Debian; tests that miss a program or header will be left out and say so"
		return 0
	}
	mapfile -t need < <(missing_debs)
	[ ${#need[@]} -gt 0 ] || return 0
	if [ -n "${MOOT_NO_INSTALL:-}" ]; then
		why="MOOT_NO_INSTALL is set"
	elif [ "$(id -u)" != 0 ]; then
		why="that takes root"
	elif ! command -v apt-get >/dev/null; then
		why="there is no apt-get"
	elif ! install_debs "${need[@]}" >&2; then
		why="apt-get failed"
	fi
	mapfile -t need < <(missing_debs)
	[ ${#need[@]} -gt 0 ] || return 0
	echo "$name: not installed (${why:-apt-get left them out}), so these tests will be left out:"
	for p in "${need[@]}"; do
		echo "  $p: ${purpose[$p]}"
	done
}

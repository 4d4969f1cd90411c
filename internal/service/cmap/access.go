package cmap

import (
	"slices"
	"strings"
)

// What clients may not write: the daemon alone does (corosync-ipc 2.4).
var (
	readOnlyPrefixes = []string{"internal_configuration.", "runtime.services.", "runtime.config.", "runtime.totem.",
		"uidgid.config.", "system.", "nodelist."}

	readOnlyKeys = []string{
		"totem.crypto_cipher", "totem.crypto_hash", "totem.crypto_model", "totem.keyfile", "totem.key", "totem.secauth",
		"totem.ip_version", "totem.rrp_mode", "totem.transport", "totem.cluster_name", "totem.netmtu", "totem.threads",
		"totem.version", "totem.nodeid", "totem.clear_node_high_bit", "config.reload_in_progress",
		"config.totemconfig_reload_in_progress", "nodelist.local_node_pos"}

	// The rules of voting belong to whoever applies them.
	readOnlyWithProvider = []string{"quorum.allow_downscale", "quorum.wait_for_all", "quorum.last_man_standing",
		"quorum.last_man_standing_window", "quorum.expected_votes_tracking", "quorum.auto_tie_breaker", "quorum.auto_tie_breaker_node"}
)

// readOnly reports whether clients may not write a key of the default map.
func readOnly(key string, provider bool) bool {
	return slices.ContainsFunc(readOnlyPrefixes, func(p string) bool { return strings.HasPrefix(key, p) }) ||
		slices.Contains(readOnlyKeys, key) || provider && slices.Contains(readOnlyWithProvider, key)
}

// clearPrefix is where the keys of the statistics are that clients may set.
const clearPrefix = "stats.clear."

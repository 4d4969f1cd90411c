package config

// TranslateText is Translate without a file.
func (d Decoder) TranslateText(name string, b []byte) ([]byte, *Config, Problems) {
	w := d.walk(name, b)
	if w.c == nil {
		return nil, nil, w.problems
	}
	return w.translate()
}

// KnownKey is one key of the tables, for the test of the reference.
type KnownKey struct {
	Place, Key string
	NoEffect   bool
	Area       Area
}

// KnownKeys are all keys of the tables.
func KnownKeys() []KnownKey {
	var out []KnownKey
	for place, table := range map[string][]string{
		"totem": totemKeys.names(), "totem.interface": interfaceKeys.names(), "nodelist.node": nodeKeys.names(), "quorum": quorumKeys.names(),
		"quorum.device": deviceKeys.names(), "logging": loggingKeys.names(), "system": systemKeys.names(),
		"http": httpKeys.names(), "service": serviceKeys.names(),
		"events": eventsKeys.names(), "events.topic": topicKeys.names(),
	} {
		for _, key := range table {
			_, _, none, _ := places[place].find(key)
			out = append(out, KnownKey{place, key, none != "", area(place + "." + key)})
		}
	}
	return out
}

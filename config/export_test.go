package config

// TranslateText is Translate without a file.
func (d Decoder) TranslateText(name string, b []byte) ([]byte, *Config, Problems) {
	w := d.walk(name, b)
	if w.c == nil {
		return nil, nil, w.problems
	}
	return w.translate()
}

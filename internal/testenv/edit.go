package testenv

import (
	"fmt"
	"strings"
)

// Edit applies edits to a text, one a line: "old => new" replaces the first old,
// "<< new" appends. A | in the new text is a line's end. It is how test data says
// in which way a good file is broken.
func Edit(text, edits string) (string, error) {
	for line := range strings.Lines(edits) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if more, ok := strings.CutPrefix(line, "<< "); ok {
			text += strings.ReplaceAll(more, "|", "\n") + "\n"
			continue
		}
		from, to, ok := strings.Cut(line, " =>")
		if !ok || !strings.Contains(text, from) {
			return "", fmt.Errorf("%q is not in the text", from)
		}
		text = strings.Replace(text, from, strings.ReplaceAll(strings.TrimPrefix(to, " "), "|", "\n"), 1)
	}
	return text, nil
}

package cpg

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// JSON is a Snapshot of a small state: v as JSON, copied before it returns.
func JSON(v any) (io.ReadCloser, error) {
	b, err := json.Marshal(v)
	return io.NopCloser(bytes.NewReader(b)), err
}

// FromJSON restores what JSON gave into v, a pointer to an empty state. A lost
// state leaves it empty.
func FromJSON(r io.Reader, v any) error {
	err := json.NewDecoder(r).Decode(v)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

package client

import (
	"io/fs"
	"strings"
	"testing"
)

// The socket is the one that the environment names, the nearest word first.
func TestUsualSocket(t *testing.T) {
	for _, c := range []struct{ socket, run, want string }{
		{"", "", DefaultSocket},
		{"", "/tmp/anna/run", "/tmp/anna/run/agent.sock"},
		{"/tmp/other.sock", "/tmp/anna/run", "/tmp/other.sock"},
	} {
		env := map[string]string{SocketEnv: c.socket, RunDirEnv: c.run}
		if got := usualSocket(func(name string) string { return env[name] }); got != c.want {
			t.Errorf("%q, %q: %s, want %s", c.socket, c.run, got, c.want)
		}
	}
}

// Who finds no agent reads how to name another.
func TestExplain(t *testing.T) {
	text := explain("/run/x.sock", fs.ErrNotExist).Error()
	for _, want := range []string{"/run/x.sock", SocketEnv, RunDirEnv} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %s", text, want)
		}
	}
}

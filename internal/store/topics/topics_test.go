package topics

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/service/events"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, func(err error) { t.Error(err) })
	must(t, err)
	return s
}

// write waits until all changes are durable.
func write(s *Store, batches ...[]events.Write) {
	done := make(chan bool, len(batches))
	for _, b := range batches {
		s.Write(b, func() { done <- true })
	}
	for range batches {
		<-done
	}
}

func content(t *testing.T, s *Store) map[string]string {
	t.Helper()
	got := map[string]string{}
	must(t, s.Load(func(k, v []byte) error {
		got[string(k)] = string(v)
		return nil
	}))
	return got
}

// What was written is there after a restart, the last value of each key; a
// state directory without durable topics has no file.
func TestKeeps(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if got := content(t, s); len(got) != 0 {
		t.Errorf("a new one has %v", got)
	}
	if _, err := os.Stat(filepath.Join(dir, File)); !os.IsNotExist(err) {
		t.Errorf("there is a file for nothing: %v", err)
	}
	put := func(k, v string) events.Write { return events.Write{Key: []byte(k), Value: []byte(v)} }
	write(s, []events.Write{put("a", "1"), put("b", "1")}, []events.Write{put("a", "2"), {Key: []byte("b")}}, []events.Write{put("c", "")})
	want := map[string]string{"a": "2", "c": ""}
	if got := content(t, s); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	must(t, s.Close())
	s.Write([]events.Write{put("d", "")}, func() { t.Error("written after the end") })
	must(t, s.Close())

	s = open(t, dir)
	defer s.Close()
	if got := content(t, s); !maps.Equal(got, want) {
		t.Errorf("after a restart %v, want %v", got, want)
	}
}

// Close writes what waits.
func TestClose(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	n := 0
	for i := range 50 {
		s.Write([]events.Write{{Key: fmt.Append(nil, i), Value: []byte{1}}}, func() { n++ })
	}
	must(t, s.Close())
	if n != 50 {
		t.Errorf("%d of 50 are done", n)
	}
	s = open(t, dir)
	defer s.Close()
	if got := content(t, s); len(got) != 50 {
		t.Errorf("%d of 50 are there", len(got))
	}
}

// Two can not have the file at once.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	write(s, []events.Write{{Key: []byte("a"), Value: []byte{1}}})
	if _, err := Open(dir, nil); err == nil || !strings.Contains(err.Error(), "another process has it open") {
		t.Errorf("the second one: %v", err)
	}
}

// A disk that does not take a file is told once, and nothing is done after it.
func TestFails(t *testing.T) {
	failed := make(chan error, 2)
	s, err := Open(filepath.Join(t.TempDir(), "missing"), func(err error) { failed <- err })
	must(t, err)
	for range 2 {
		s.Write([]events.Write{{Key: []byte("a"), Value: []byte{1}}}, func() { t.Error("it is done") })
	}
	if err := <-failed; !strings.Contains(err.Error(), File) {
		t.Error(err)
	}
	must(t, s.Close())
	if len(failed) != 0 {
		t.Error("it is told twice")
	}
}

// A damaged file is an error, or some of it can be read: nothing worse.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var batch []events.Write
	for i := range 200 {
		batch = append(batch, events.Write{Key: fmt.Append(nil, i), Value: bytes.Repeat([]byte{1}, 300)})
	}
	write(s, batch)
	must(t, s.Close())
	good, err := os.ReadFile(filepath.Join(dir, File))
	must(t, err)
	page := os.Getpagesize()
	damages := map[string][]byte{"empty": {}, "not one": []byte("topics"), "half": good[:len(good)/2], "metas only": good[:2*page], "zeros": make([]byte, len(good))}
	for p := range len(good) / page {
		b := bytes.Clone(good)
		for i := range page {
			b[p*page+i] = 0xff
		}
		damages[fmt.Sprint("page ", p)] = b
	}
	for name, b := range damages {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, File), b, 0o600))
		s, err := Open(dir, func(error) {})
		if err == nil {
			err = s.Load(func([]byte, []byte) error { return nil })
		}
		if err != nil && !strings.Contains(err.Error(), "move it away") {
			t.Errorf("%s: %v", name, err)
		}
		if s != nil {
			s.Close()
		}
	}
}

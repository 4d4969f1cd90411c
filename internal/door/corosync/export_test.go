package corosync

import (
	"os"
	"path/filepath"
	"testing"
)

// What the tests against a whole member share with those of this package.
var (
	BuildC  = build
	OutputC = output

	JoinRequest  = joinRequest
	McastRequest = mcastRequest
)

// GoldenRequests are the captured requests of the vectors, by service.
func GoldenRequests(t testing.TB) map[string][][]byte {
	t.Helper()
	files, err := os.ReadDir(filepath.Join("testdata", "vectors"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][][]byte{}
	for _, f := range files {
		for _, m := range readVectors(t, f.Name()) {
			if name := map[byte]string{'1': "cpg", '2': "quorum", '3': "votequorum", '4': "cmap", '5': "cfg"}[f.Name()[0]]; m.channel == "request" && name != "" {
				all[name] = append(all[name], m.bytes)
			}
		}
	}
	return all
}

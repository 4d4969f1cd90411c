package node

import (
	"testing"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/proto"
)

func TestMissed(t *testing.T) {
	var gaps []executive.Gap
	for i := range proto.Tick(16) {
		gaps = append(gaps, executive.Gap{At: i + 1, Dur: 79 + i%2})
	}
	got := missed(gaps, 100, 0)
	if len(got) != 8 || got[0].At != 16 || got[7].At != 2 {
		t.Errorf("got %+v", got)
	}
	for i := range gaps {
		gaps[i].Dur = 500
	}
	if got = missed(gaps, 100, 0); len(got) != maxMissed || got[0].At != 16 || got[9].At != 7 {
		t.Errorf("got %+v", got)
	}
	if got = missed(gaps, 100, 14); len(got) != 2 {
		t.Errorf("cleared ones are shown: %+v", got)
	}
}

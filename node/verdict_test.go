package node

import (
	"errors"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/totem"
)

// Only an end that somebody wished for is none of the member's own.
func TestVerdict(t *testing.T) {
	for r := totem.Running; r <= totem.StopServiceFailed; r++ {
		n := &Node{diskErr: errors.New("disk full")}
		n.decided(&executive.Decision{Reason: "service-failed", Text: "Service cpg cannot be synchronised here: no room."})
		err := n.verdict(r)
		if wished := r == totem.Running || r == totem.StopLeft; wished != (err == nil) {
			t.Errorf("%v: error %v", r, err)
		}
		if r == totem.StopServiceFailed && !strings.Contains(err.Error(), "cpg cannot be synchronised here: no room") {
			t.Errorf("it does not say which service and why: %v", err)
		}
	}
}

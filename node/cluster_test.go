package node

import (
	"strings"
	"testing"
)

func TestCluster_UnknownNode(t *testing.T) {
	c := &Cluster{nodes: make([]*Node, 3)}
	if c.Node(0) != nil || c.Node(4) != nil {
		t.Error("there is a node that was never started")
	}
	c.Kill(4)
	if _, err := c.Start(t.Context(), 4); err == nil || !strings.Contains(err.Error(), "ids are 1 to 3") {
		t.Errorf("got %v", err)
	}
}

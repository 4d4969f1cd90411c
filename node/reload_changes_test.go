package node

import (
	"testing"

	"github.com/moothall/moothall/config"
)

// What only a start reads is compared with the start: taken back, it is no change.
func TestChanges_OnlyAStart(t *testing.T) {
	named := func(cluster string) *config.Config {
		return config.New(cluster, config.Node{ID: 1, Addrs: []string{"127.0.0.1"}})
	}
	n := &Node{cfg: Config{Cluster: named("hall")}}
	n.self.ID = 1
	away := n.changes(named("hall"), named("hull"))
	if len(away) != 1 || away[0].Name != "totem.cluster_name" || away[0].Old != "hall" || away[0].New != "hull" {
		t.Errorf("away: %v", away)
	}
	if again := n.changes(named("hull"), named("hull")); len(again) != 1 || again[0].Old != "hall" {
		t.Errorf("still away: %v", again)
	}
	if back := n.changes(named("hull"), named("hall")); len(back) != 0 {
		t.Errorf("back: %v", back)
	}
}

package testenv

import (
	"bytes"
	"fmt"

	"github.com/moothall/moothall/internal/bench"
)

// Filter makes a node lose what arrives and matches one of the rules, which are
// nft statements with a verdict: "ip saddr 10.77.0.2 drop". No rules: it loses
// nothing. It needs nftables.
func Filter(n *bench.Node, rules []string) error {
	var b bytes.Buffer
	b.WriteString("table inet test\nflush table inet test\ntable inet test {\nchain in {\ntype filter hook input priority 0; policy accept;\n")
	for _, r := range rules {
		fmt.Fprintln(&b, r)
	}
	b.WriteString("}\n}\n")
	cmd := n.Command("nft", "-f", "-")
	cmd.Stdin = &b
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft on node %d: %w\n%s", n.ID, err, out)
	}
	return nil
}

package testenv

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/moothall/moothall/internal/bench"
)

// Split has the network carry only what stays on one side, from one packet to the
// next: there are no other sides in between. No sides: it carries all. It needs
// nftables.
func Split(s *bench.Stage, sides ...[]int) error {
	var b bytes.Buffer
	b.WriteString("table bridge sides\nflush table bridge sides\ntable bridge sides {\nchain forward {\ntype filter hook forward priority 0; policy accept;\n")
	for _, side := range sides {
		var here, there []string
		for _, n := range s.Nodes {
			if slices.Contains(side, n.ID) {
				here = append(here, n.Port())
			} else {
				there = append(there, n.Port())
			}
		}
		if len(here) > 0 && len(there) > 0 {
			fmt.Fprintf(&b, "iifname { %s } oifname { %s } drop\n", strings.Join(here, ", "), strings.Join(there, ", "))
		}
	}
	b.WriteString("}\n}\n")
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = &b
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w\n%s", err, out)
	}
	return nil
}

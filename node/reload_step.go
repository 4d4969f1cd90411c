package node

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/service/cfg"
	"github.com/moothall/moothall/internal/vote"
)

// settings are what a configuration says of votes.
func settings(c *config.Config) vote.Settings {
	q := c.Quorum
	n := vote.Settings{Expected: q.ExpectedVotes, TwoNode: q.TwoNode, WaitForAll: q.WaitForAll}
	if q.Device != nil {
		n.Device = q.Device.Votes
	}
	for _, node := range byID(c) {
		n.Nodes = append(n.Nodes, vote.Share{Node: node.ID, Votes: node.Votes})
	}
	return n
}

// byID are the nodes by ascending id: their places in the file do not matter.
func byID(c *config.Config) []config.Node {
	return slices.SortedFunc(slices.Values(c.Nodes), func(a, b config.Node) int { return cmp.Compare(a.ID, b.ID) })
}

// part is what files must say alike, if any of them changes it.
type part uint8

const (
	partNodes part = iota
	partVotes
	partTimes
	numParts
)

// String ends the sentence "its file has".
func (p part) String() string {
	return [...]string{"other nodes, or other addresses,", "other votes, or other rules of voting,", "other times"}[p]
}

// text is a part of a configuration in one form for all members.
func (p part) text(c *config.Config) string {
	switch p {
	case partVotes:
		return fmt.Sprint(settings(c))
	case partNodes:
		var b strings.Builder
		for _, n := range byID(c) {
			fmt.Fprintf(&b, "%d %q\n", n.ID, n.Addrs)
		}
		return b.String()
	}
	token, _ := c.TokenTimeout()
	return fmt.Sprint(token, c.Totem.Hold, c.Totem.Join, c.Totem.Consensus, c.Totem.Merge, c.Interface(0).PingInterval)
}

// facts are what the others must know of a file to agree to it.
type facts struct {
	changed [numParts]bool
	sums    [numParts]uint64
	step    vote.Step
}

// compared are the facts of a new configuration.
func compared(old, new *config.Config) facts {
	f := facts{step: settings(old).StepTo(settings(new))}
	for p := range numParts {
		text := p.text(new)
		sum := sha256.Sum256([]byte(text))
		f.sums[p], f.changed[p] = binary.LittleEndian.Uint64(sum[:]), text != p.text(old)
	}
	return f
}

func (f facts) append(b []byte) []byte {
	for p := range numParts {
		b = append(b, byte(boolean(f.changed[p])))
		b = binary.LittleEndian.AppendUint64(b, f.sums[p])
	}
	for _, n := range []uint32{f.step.Expected, f.step.Before, f.step.Most} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

var errFacts = errors.New("it tells of its file what this version does not know: run one version on all nodes")

func parseFacts(b []byte) (f facts, err error) {
	if len(b) != int(numParts)*9+3*4 {
		return f, errFacts
	}
	for p := range numParts {
		f.changed[p], f.sums[p] = b[0] != 0, binary.LittleEndian.Uint64(b[1:])
		b = b[9:]
	}
	f.step = vote.Step{Expected: binary.LittleEndian.Uint32(b), Before: binary.LittleEndian.Uint32(b[4:]), Most: binary.LittleEndian.Uint32(b[8:])}
	return f, nil
}

// Agree says whether the files go together, and with the present ring. It depends
// on what all members told, the members, and their table of votes alone.
func (c *control) Agree(origin config.NodeID, said []cfg.Facts) (refused []string) {
	n, k := (*Node)(c), c.keys
	var sum facts
	for _, s := range said {
		f, err := parseFacts(s.Facts)
		if err != nil {
			return []string{fmt.Sprintf("%s: %v", n.name(s.Node), err)}
		}
		if s.Node == origin {
			sum.sums = f.sums
		}
	}
	for i, s := range said {
		f, _ := parseFacts(s.Facts)
		if i == 0 {
			sum.step = f.step
		}
		sum.step = sum.step.Join(f.step)
		for p := range numParts {
			sum.changed[p] = sum.changed[p] || f.changed[p]
		}
	}
	for _, s := range said {
		f, _ := parseFacts(s.Facts)
		for p := range numParts {
			if !sum.changed[p] || f.sums[p] == sum.sums[p] {
				continue
			}
			why := fmt.Sprintf("its file has %v than that of %s: copy one file to all nodes", p, n.name(origin))
			if k.leaves(s.Node) {
				why = stillMember
			}
			refused = append(refused, n.name(s.Node)+": "+why)
			break
		}
	}
	k.moves = sum.changed[partVotes]
	if len(refused) > 0 || k.staged == nil { // then this one refused
		return refused
	}
	if refused = k.agree(sum); len(refused) == 0 || !k.moves {
		return refused
	}
	// Perhaps one missed an earlier reload, and has a longer way to go.
	var late []string
	for _, s := range said {
		f, _ := parseFacts(s.Facts)
		if why := k.agree(f); len(why) > 0 {
			late = append(late, fmt.Sprintf("%s: it missed an earlier reload, and from there this is %s; or restart its agent", n.name(s.Node), strings.TrimPrefix(why[0], allMembers)))
		}
	}
	if len(late) > 0 && len(late) < len(said) && strings.Contains(late[0], vote.TooLarge) {
		return late
	}
	return refused
}

const allMembers = "all members: "

// leaves reports whether a node is missing in the list of nodes that was read here.
func (k *keys) leaves(id config.NodeID) bool {
	if k.staged == nil {
		return false
	}
	_, stays := k.staged.cluster.Node(id)
	return !stays
}

const stillMember = "it is a member now, and not in the list of nodes: stop its agent first, then reload"

// agree is Agree for files that are alike.
func (k *keys) agree(sum facts) (refused []string) {
	to := k.staged.cluster
	if sum.changed[partNodes] {
		for _, id := range k.joined {
			if k.leaves(id) {
				refused = append(refused, k.n.name(id)+": "+stillMember)
			}
		}
	}
	if sum.changed[partVotes] && len(refused) == 0 {
		if why := k.quorum.ReloadRefused(settings(to), sum.step); why != "" {
			refused = append(refused, allMembers+why)
		}
	}
	return refused
}

// sameRules makes sure that rules of voting which cannot change while agents run
// do not change because of the number of nodes either.
func sameRules(old, new *config.Config) error {
	rules := func(c *config.Config) string {
		q := c.Quorum
		text := fmt.Sprint(q.Votequorum, q.LastManStanding, q.LastManStandingWindow, q.AutoTieBreaker, q.AutoTieBreakerNode, q.AllowDownscale, q.ExpectedVotesTracking)
		if d := q.Device; d != nil {
			text += fmt.Sprint(d.Model, d.Timeout, d.SyncTimeout, d.MasterWins)
		}
		return text
	}
	if partVotes.text(old) == partVotes.text(new) || rules(old) == rules(new) {
		return nil
	}
	return errors.New("with these votes other rules of voting hold: auto_tie_breaker needs an even number of votes or wait_for_all, and quorum.provider waits for a start; stop all agents, change the file everywhere, start them")
}

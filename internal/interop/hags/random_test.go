package hags

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// spanEnv is for how long the random run goes on, as in 10m.
const spanEnv = "MOOT_HAGS_SPAN"

// random has fifty providers on five nodes join, leave, propose, vote as they like
// and die, with their processes or with their nodes. One on node 1 stays and sees
// everything; what any other saw is a piece of that, without a gap.
func random(t *testing.T, w *world) {
	span := 8 * time.Second
	if s := os.Getenv(spanEnv); s != "" {
		var err error
		if span, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	g := &game{t: t, w: w, r: rand.New(rand.NewPCG(seed, 0))}
	g.witness = g.enter(1)
	g.witness.does(t, "join g GN instance=1000 as=1000", "OK 0")
	g.witness.saw(t, "1000 NP join")
	g.witness.saw(t, "1000 AP join")
	for end := time.Now().Add(span); time.Now().Before(end); {
		g.act()
	}
	for _, p := range g.players {
		p.Do("quiet off")
	}
	w.c.whole(t)
	w.Settle()
	g.compare()
	t.Logf("%d processes, %d events of the witness", len(g.all), len(g.witness.Told(0)))
}

// game is one random run.
type game struct {
	t       *testing.T
	w       *world
	r       *rand.Rand
	witness *process
	players []*process // that live
	all     []*process
	texts   int // proposed
	names   int
}

func (g *game) enter(node int) *process {
	g.names++
	p := g.w.open(fmt.Sprint("P", g.names, " on ", node), node)
	p.Do("tagged")
	if p.Do("init") != "OK" { // its agent has just begun
		p.Kill()
		return nil
	}
	g.all = append(g.all, p)
	return p
}

// act does one thing.
func (g *game) act() {
	if len(g.players) < 10 {
		node := 1 + g.r.IntN(5)
		if !g.w.c.agents[node-1].Running() {
			g.w.c.start(node)
		}
		if p := g.enter(node); p != nil {
			g.players = append(g.players, p)
		}
		return
	}
	p := g.players[g.r.IntN(len(g.players))]
	role := g.r.IntN(5) // of a process
	g.texts++
	switch n := g.r.IntN(100); {
	case n < 35: // number and name are the same for all its lives
		p.Do(fmt.Sprintf("join g GN instance=%d as=%d", g.seat(p, role), g.seat(p, role)))
	case n < 60:
		p.Do(fmt.Sprintf("state %d s%d %s", g.seat(p, role), g.texts, g.phases()))
	case n < 75:
		p.Do(fmt.Sprintf("message %d m%d %s", g.seat(p, role), g.texts, g.phases()))
	case n < 82:
		p.Do(fmt.Sprintf("leave %d code=%d %s", g.seat(p, role), g.texts, g.phases()))
	case n < 87:
		p.Do(fmt.Sprintf("goodbye %d", g.seat(p, role)))
	case n < 94:
		p.Do(fmt.Sprintf("plan %d %s,state=v%d approve", g.seat(p, role), []string{"approve", "continue", "reject"}[g.r.IntN(3)], g.texts))
	case n < 98:
		p.Kill()
		g.bury(func(q *process) bool { return q == p })
	default:
		g.crash()
	}
}

func (g *game) phases() string { return []string{"", "n"}[g.r.IntN(2)] }

// seat is the instance number of a role, which no other process has.
func (g *game) seat(p *process, role int) int { return 5*slices.Index(g.all, p) + role }

// crash powers a node off, or on again.
func (g *game) crash() {
	node := 2 + g.r.IntN(4)
	if !g.w.c.agents[node-1].Running() {
		g.w.c.start(node)
		return
	}
	g.w.Crash(node)
	g.bury(func(p *process) bool { return p.node == node })
}

func (g *game) bury(dead func(*process) bool) { g.players = slices.DeleteFunc(g.players, dead) }

// compare looks for what everybody saw in what the witness saw.
func (g *game) compare() {
	whole := story(g.witness.Told(0), "1000")
	for _, p := range g.all {
		lines := p.Told(0)
		for _, role := range roles(lines) {
			for _, life := range lives(story(lines, role), role, p.node) {
				if !slices.Contains(strings.Split(field(life[0], "cur="), ","), "1000/1") {
					continue // its node was alone, before it met the others: that was another group
				}
				over := p.over || slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, role+" AN GD") })
				if life = together(life, over); !contains(whole, life) {
					g.t.Fatalf("provider %s of %s was told\n\t%s", role, p.name, strings.Join(differs(whole, life), "\n\t"))
				}
			}
		}
	}
}

// together is a life as long as the nodes of the witness and of the provider were
// together. Busy machines may lose each other, and then how the protocol ends in
// which they do may differ; of a life that is over it may be the last one.
func together(life []string, over bool) []string {
	parted := slices.IndexFunc(life, func(l string) bool {
		return strings.Contains(l, " failure-leave ") && strings.Contains(l, " host") && slices.Contains(strings.Split(field(l, "chg="), ","), "1000/1")
	})
	switch {
	case parted >= 0:
	case over:
		parted = len(life)
	default:
		return life
	}
	for parted--; parted > 0 && strings.HasPrefix(life[parted-1], "NP"); parted-- {
	}
	return life[:max(parted, 0)]
}

// differs tells where a piece is not as the whole.
func differs(whole, piece []string) []string {
	at := slices.Index(whole, piece[0])
	if at < 0 {
		return []string{piece[0], "and the witness never"}
	}
	for i, l := range piece {
		if at+i >= len(whole) {
			return []string{l, "and the witness nothing more"}
		}
		if whole[at+i] != l {
			return []string{l, "and the witness", whole[at+i]}
		}
	}
	return nil
}

func roles(lines []string) (names []string) {
	for _, l := range lines {
		if name, _, _ := strings.Cut(l, " "); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// story is what a role was told of protocols.
func story(lines []string, role string) (told []string) {
	for _, l := range lines {
		if text, ok := strings.CutPrefix(l, role+" "); ok {
			for _, kind := range []string{"NP ", "AP ", "RJ "} {
				if strings.HasPrefix(text, kind) {
					told = append(told, text)
				}
			}
		}
	}
	return told
}

// lives cuts a story at the joins of the provider itself.
func lives(told []string, role string, node int) (all [][]string) {
	self := fmt.Sprintf("%s/%d", role, node)
	begins := func(l string) bool {
		return strings.HasPrefix(l, "NP join 1 ") && slices.Contains(strings.Split(field(l, "chg="), ","), self)
	}
	for _, l := range told {
		if len(all) == 0 || begins(l) {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], l)
	}
	return all
}

func field(line, key string) string {
	_, rest, _ := strings.Cut(line, " "+key)
	value, _, _ := strings.Cut(rest, " ")
	return value
}

// contains reports whether a piece is in the whole, without a gap.
func contains(whole, piece []string) bool {
	for i := range len(whole) - len(piece) + 1 {
		if slices.Equal(whole[i:i+len(piece)], piece) {
			return true
		}
	}
	return len(piece) == 0
}

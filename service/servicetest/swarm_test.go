package servicetest_test

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/service"
	"github.com/moothall/moothall/service/servicetest"
)

// votes counts words; who has counted most tells all in a round. Its faults are
// those that a Swarm has to find.
type votes struct {
	x      service.Executive
	count  map[string]int
	staged map[string]int
	round  service.Round
	fault  string
}

const votesID = 50

func (v *votes) Info() service.Info {
	return service.Info{Name: "votes", ID: votesID, Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: true,
		Calls: []service.Call{{Name: "vote", Flow: true}}}
}
func (v *votes) Start(x service.Executive) error             { v.x, v.count = x, map[string]int{}; return nil }
func (v *votes) Stop()                                       {}
func (v *votes) ConfigChange(service.ConfigChange)           {}
func (v *votes) Open(c service.Conn) (service.Client, error) { return &voter{v, c.ID()}, nil }

func (v *votes) Deliver(m service.Message) {
	if m.Class == service.Sync {
		var word string
		var n int
		if _, err := fmt.Sscanf(string(m.Body), "%s %d", &word, &n); err == nil {
			v.staged[word] = n
		}
		return
	}
	word := string(m.Body)
	v.count[word]++
	switch v.fault {
	case "local":
		if m.From == v.x.Self() {
			v.count[word]++
		}
	case "map":
		for word := range v.count { // some word
			v.count[word]++
			break
		}
	case "random":
		v.count[word] += rand.IntN(2)
	}
	if c, ok := v.x.Local(m.Src); ok {
		_ = c.Push(0, fmt.Append(nil, v.count[word]))
	}
}

func (v *votes) SyncDigest() service.Digest { return service.Digest{} }
func (v *votes) SyncInit(r service.Round)   { v.round, v.staged = r, map[string]int{} }
func (v *votes) SyncAbort(error)            {}
func (v *votes) SyncActivate() {
	if v.fault != "merge" {
		v.count = v.staged
	}
}

func (v *votes) SyncProcess(int) (bool, error) {
	if v.round.Sender != v.x.Self() {
		return true, nil
	}
	for _, word := range slices.Sorted(maps.Keys(v.count)) {
		if err := v.x.Multicast(0, service.Sync, service.Agreed, service.Source{}, fmt.Appendf(nil, "%s %d", word, v.count[word])); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (v *votes) Dump(w io.Writer) { fmt.Fprint(w, v.count) }

type voter struct {
	v  *votes
	id uint64
}

func (u *voter) Closed() {}
func (u *voter) Call(r service.Request) {
	src := service.Source{Node: u.v.x.Self(), Conn: u.id, Tag: r.Tag}
	r.Reply(service.CodeOf(u.v.x.Multicast(0, service.Normal, service.Agreed, src, r.Body)), nil)
}

func plan(fault string) servicetest.Plan {
	return servicetest.Plan{Service: votesID,
		Services: func(servicetest.NodeID) []service.Service { return []service.Service{&votes{fault: fault}} },
		Call: func(rng *rand.Rand, c *servicetest.Conn) {
			c.Call(0, []byte([]string{"yes", "no", "maybe"}[rng.IntN(3)]))
		},
	}
}

func TestSwarm_PassesWhatIsRight(t *testing.T) { servicetest.Swarm(t, 200, plan("")) }

// Openais-executive X14.16: a thousand random partitions, merges, crashes and calls;
// the states are equal whenever all is quiet, with quorum and without.
func TestX14_16_RandomSteps(t *testing.T) {
	p := plan("")
	p.Steps = 1000
	servicetest.Swarm(t, 5, p)
	p.Quorum = true
	servicetest.Swarm(t, 5, p)
}

// failed is a T that ends at its first failure.
type failed struct{ text string }

func (f *failed) Helper() {}

func (f *failed) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	panic(f)
}

func swarm(plans int, p servicetest.Plan) (text string) {
	f := &failed{}
	defer func() {
		if r := recover(); r == nil || r == f {
			text = f.text
		} else {
			panic(r)
		}
	}()
	servicetest.Swarm(f, plans, p)
	return ""
}

func TestSwarm_FindsFaults(t *testing.T) {
	for fault, want := range map[string]string{
		"local":  `service "votes" of ring`,
		"map":    "",
		"random": "",
		"merge":  `service "votes" of ring`,
	} {
		text := swarm(200, plan(fault))
		if text == "" || !strings.Contains(text, want) || !strings.Contains(text, "plan of seed ") {
			t.Errorf("%s: %q", fault, text)
			continue
		}
		if fault != "local" && fault != "merge" {
			continue
		}
		var seed uint64
		if _, err := fmt.Sscanf(text, "plan of seed %d:", &seed); err != nil {
			t.Fatal(err)
		}
		p := plan(fault)
		p.Seed = seed
		if again := swarm(1, p); again != text {
			t.Errorf("%s: seed %d says %q, then %q", fault, seed, text, again)
		}
	}
	p := plan("")
	p.Nodes = 1 // no other replica: what differs is the second run
	p.Services = func(servicetest.NodeID) []service.Service { return []service.Service{&votes{fault: "random"}} }
	if text := swarm(50, p); !strings.Contains(text, "two runs of one plan") {
		t.Errorf("alone: %q", text)
	}
	p = plan("")
	p.Check = func(*servicetest.Cluster) error { return fmt.Errorf("as it likes") }
	if text := swarm(1, p); !strings.Contains(text, "as it likes") {
		t.Errorf("check: %q", text)
	}
}

type failer struct{}

func (failer) Helper()                           {}
func (failer) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// A service is tried under random partitions, crashes and calls. In a test the
// first argument is t.
func ExampleSwarm() {
	servicetest.Swarm(failer{}, 20, servicetest.Plan{
		Service:  votesID,
		Services: func(servicetest.NodeID) []service.Service { return []service.Service{&votes{}} },
		Call:     func(rng *rand.Rand, c *servicetest.Conn) { c.Call(0, []byte("yes")) },
	})
	fmt.Println("the replicas agree")
	// Output: the replicas agree
}

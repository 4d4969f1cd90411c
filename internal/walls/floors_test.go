package walls

import (
	"strings"
	"testing"
)

// floors is the house. The longest matching directory decides.
var floors = map[string]int{
	"internal/proto":     0,
	"internal/wire":      0,
	"internal/bug":       0,
	"internal/totem":     1,
	"internal/vote":      1,
	"internal/resync":    1,
	"internal/seal":      1,
	"internal/explain":   1,
	"service":            2,
	"service/remote":     beside, // it dials
	"internal/service":   3,
	"internal/alarm":     4,
	"internal/link":      4,
	"internal/store":     4,
	"internal/netmon":    4,
	"internal/obs":       4,
	"internal/executive": 5,
	"internal/door":      6,
	"node":               7,
	"cmd":                8,
}

// beside is the floor of packages that stand beside the house.
const beside = -1

// closed is the highest floor that may not look beside the house.
const closed = 3

func floorOf(dir string) int {
	best, floor := -1, beside
	for root, f := range floors {
		if under(dir, root) && len(root) > best {
			best, floor = len(root), f
		}
	}
	return floor
}

func TestFloors(t *testing.T) {
	for _, s := range load(t).sources {
		from := floorOf(s.dir)
		if from == beside {
			continue
		}
		for _, imp := range s.imports {
			dir, ok := ours(imp)
			if !ok {
				continue
			}
			switch to := floorOf(dir); {
			case to > from:
				t.Errorf("%s: floor %d imports %s on floor %d: knowledge flows upwards, have it handed in", s.name, from, dir, to)
			case to == beside && from <= closed:
				t.Errorf("%s: floor %d imports %s, which has no floor: packages up to floor %d stand on their own (give it a floor in internal/walls if it is one of them)",
					s.name, from, dir, closed)
			}
		}
	}
}

// doors are walls between single rooms.
var doors = []struct {
	from   string
	not    []string
	except []string
	why    string
}{
	{from: "internal/totem", not: []string{"internal/vote", "internal/resync", "internal/seal"},
		why: "cores do not know each other, the executive joins them"},
	{from: "internal/vote", not: []string{"internal/totem", "internal/resync", "internal/seal"},
		why: "cores do not know each other, the executive joins them"},
	{from: "internal/resync", not: []string{"internal/totem", "internal/vote", "internal/seal"},
		why: "cores do not know each other, the executive joins them"},
	{from: "internal/seal", not: []string{"internal/totem", "internal/vote", "internal/resync"},
		why: "cores do not know each other, the executive joins them"},
	{from: "internal/link", not: []string{"internal/totem", "internal/executive"},
		why: "a link moves datagrams and does not know what is in them"},
	{from: "internal/door", not: []string{"internal/totem", "internal/link", "internal/seal"},
		why: "a door speaks with services, not with the ring"},
	{from: "internal/sim/check", not: []string{""}, except: []string{"internal/proto", "internal/sim/check"},
		why: "a checker that shares code with what it checks shares its mistakes"},
	{from: "client", not: []string{"internal/executive", "internal/totem", "node"},
		why: "a client program must not carry the engine"},
	{from: "groups", not: []string{"internal/executive", "internal/totem", "node"},
		why: "a client program must not carry the engine"},
	{from: "events", not: []string{"internal/executive", "internal/totem", "node"},
		why: "a client program must not carry the engine"},
	{from: "ais", not: []string{"internal/executive", "internal/totem", "node"},
		why: "a client program must not carry the engine"},
	{from: "admin", not: []string{""}, except: []string{"internal/proto"},
		why: "a program that asks an agent must not carry one"},
	{from: "internal", not: []string{"node", "cmd"}, except: []string{"internal"},
		why: "node and cmd assemble the house, nothing inside needs them"},
	{from: "", not: []string{"internal/testenv"}, except: []string{"internal/testenv"},
		why: "testenv is for tests"},
}

func TestDoors(t *testing.T) {
	p := load(t)
	for _, d := range doors {
		for _, s := range p.sources {
			if !in(s.dir, d.from) || under(s.dir, "internal/testenv") {
				continue
			}
			for _, imp := range s.imports {
				dir, ok := ours(imp)
				if ok && inAny(dir, d.not) && !under(dir, d.except...) {
					t.Errorf("%s imports %s: %s", s.name, dir, d.why)
				}
			}
		}
	}
}

// What draws on terminals comes with much that no program needs that embeds a
// node.
func TestScreensAreForPeople(t *testing.T) {
	for _, s := range load(t).sources {
		for _, imp := range s.imports {
			if strings.HasPrefix(imp, "charm.land/") && !under(s.dir, "cmd/moot") {
				t.Errorf("%s imports %s: only cmd/moot draws on terminals", s.name, imp)
			}
		}
	}
}

// in is under with "" for the whole module.
func in(dir, root string) bool { return root == "" || under(dir, root) }

func inAny(dir string, roots []string) bool {
	for _, root := range roots {
		if in(dir, root) {
			return true
		}
	}
	return false
}

package walls

import (
	"go/parser"
	"go/token"
	"testing"
)

// A wall that nothing can hit is no wall: the rules are tried on code that
// breaks them.
func TestTeeth(t *testing.T) {
	for imp, want := range map[string]bool{
		"net": true, "net/http": true, "net/netip": false, "log/slog": true, "sync/atomic": true,
		"math/rand/v2": true, "math": false, "math/bits": false, "crypto/rand": true, "crypto/aes": false, "netx": false,
	} {
		if _, got := inCores.reason(imp); got != want {
			t.Errorf("import of %s in a core: refused %v, want %v", imp, got, want)
		}
	}
	for dir, want := range map[string]int{
		"internal/proto": 0, "internal/totem/trace": 1, "service": 2, "internal/service/cpg": 3,
		"internal/door/corosync/qb": 6, "cmd/moot": 8, "config": beside, "internal/servicex": beside,
	} {
		if got := floorOf(dir); got != want {
			t.Errorf("floor of %s: got %d, want %d", dir, got, want)
		}
	}

	const guilty = `package x
import "time"
func f() { c := make(chan int); go f(); select {}; _ = c; time.Sleep(time.Second) }`
	p := &parsed{fset: token.NewFileSet()}
	f, err := parser.ParseFile(p.fset, "x.go", guilty, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for name, check := range map[string]func(reporter, source){
		"sequential": p.checkSequential,
		"clock":      p.checkClock,
		"imports":    func(t reporter, s source) { p.checkImports(t, s, inCores) },
	} {
		var found counter
		check(&found, source{name: "x.go", file: f, imports: []string{"time"}})
		if found == 0 {
			t.Errorf("%s: the guilty file passed", name)
		}
	}
}

// counter counts what is reported.
type counter int

func (*counter) Helper()                 {}
func (c *counter) Errorf(string, ...any) { *c++ }

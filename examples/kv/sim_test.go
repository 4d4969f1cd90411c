package kv_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/examples/kv"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/sim"
)

// seeds is how many simulations TestLinearizable runs; KV_SEEDS sets another
// number.
const seeds = 20

const (
	ms     = sim.Tick(time.Millisecond)
	second = sim.Tick(time.Second)
)

// Copies on three or five nodes are one register for each key, whatever
// partitions, pauses, losses and crashes do. The state is in memory, so crashes
// hit a minority of the nodes.
func TestLinearizable(t *testing.T) {
	n := seeds
	if s := os.Getenv("KV_SEEDS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	operations, unknown := 0, 0
	for seed := range uint64(n) {
		h := simulate(t, seed, nil)
		operations += len(h.operations)
		unknown += h.unknown
		if !h.linearizable(t) {
			t.Errorf("seed %d: not linearizable", seed)
		}
	}
	t.Logf("%d simulations, %d operations, the outcome of %d puts is not known", n, operations, unknown)
}

// A copy that answers reads by itself is found out.
func TestStaleReadIsCaught(t *testing.T) {
	stale := func(ctx context.Context, s *kv.Store, op kv.Op) (kv.Result, error) {
		if !op.Put {
			return s.Peek(op.Key), nil
		}
		return s.Do(ctx, op)
	}
	for seed := range uint64(seeds) {
		if !simulate(t, seed, stale).linearizable(t) {
			t.Logf("caught with seed %d", seed)
			return
		}
	}
	t.Errorf("%d simulations did not catch it", seeds)
}

// history is what clients saw.
type history struct {
	now        sim.Tick
	operations []porcupine.Operation
	unknown    int
}

// input and output of an operation; an output that is not known is nil.
type input struct {
	kv.Op
	node sim.NodeID // that was asked
}

// simulate runs one simulation.
func simulate(t *testing.T, seed uint64, do func(context.Context, *kv.Store, kv.Op) (kv.Result, error)) *history {
	h := new(history)
	if do == nil {
		do = func(ctx context.Context, s *kv.Store, op kv.Op) (kv.Result, error) { return s.Do(ctx, op) }
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := rand.New(rand.NewPCG(seed, 7))
		p := plan(seed, r)
		stores := map[sim.NodeID]*kv.Store{}
		results := make(chan func(), 1000)
		programs := &sim.Programs{
			Every:  10 * ms,
			Settle: synctest.Wait,
			Ready: func(node sim.NodeID, s session.Session) {
				delete(stores, node)
				go func() {
					store, err := kv.Join(ctx, cpg.New(s))
					if err != nil {
						return
					}
					results <- func() { stores[node] = store }
					store.Run(ctx, store)
					results <- func() {
						if stores[node] == store {
							delete(stores, node)
						}
					}
				}()
			},
		}
		programs.Tick = func(now sim.Tick) {
			h.now = now
			for len(results) > 0 {
				(<-results)()
			}
			for client, node := range p.Nodes {
				store := stores[node.ID]
				if store == nil || r.IntN(20) > 0 {
					continue
				}
				i := len(h.operations)
				op := input{kv.Op{Key: string(rune('a' + r.IntN(3)))}, node.ID}
				if r.IntN(2) == 0 {
					op.Put, op.Value, op.If, op.Old = true, strconv.Itoa(i+1), r.IntN(3) == 0, strconv.Itoa(r.IntN(i+1))
				}
				h.operations = append(h.operations, porcupine.Operation{ClientId: client, Input: op, Call: int64(now), Return: math.MaxInt64})
				go func() {
					found, err := do(ctx, store, op.Op)
					results <- func() {
						switch {
						case err == nil:
							h.operations[i].Output, h.operations[i].Return = found, int64(h.now)
						case errors.Is(err, kv.ErrMinority):
							h.operations[i].Output = err
						}
					}
				}()
			}
		}
		res := sim.Run(p, sim.Options{Programs: programs, Fast: true})
		if res.Failed() {
			t.Errorf("seed %d: %v", seed, res.Findings[0])
		}
		h.now = math.MaxInt64 - 1
		cancel()
		synctest.Wait()
		for len(results) > 0 {
			(<-results)()
		}
	})
	for i := range h.operations {
		o := &h.operations[i]
		o.ClientId = i // operations of one node overlap
		if o.Output == nil && o.Input.(input).Put {
			h.unknown++
		}
	}
	h.operations = slices.DeleteFunc(h.operations, func(o porcupine.Operation) bool {
		_, refused := o.Output.(error)
		return refused || o.Output == nil && !o.Input.(input).Put
	})
	return h
}

// plan draws nodes and faults.
func plan(seed uint64, r *rand.Rand) *sim.Plan {
	n := 3 + 2*r.IntN(2)
	p := &sim.Plan{Seed: seed, Heal: 20 * second, Restart: true, Net: sim.Network{Delay: 200 * sim.Tick(time.Microsecond), Sigma: 0.5, Loss: 0.02 * r.Float64()}}
	for id := range n {
		p.Nodes = append(p.Nodes, sim.NodePlan{ID: sim.NodeID(id + 1), Disk: ms, Consume: ms / 2})
	}
	node := func() sim.NodeID { return sim.NodeID(1 + r.IntN(n)) }
	mortal := r.Perm(n)[:n/2] // crash, others never
	for range 4 + r.IntN(8) {
		a := sim.Action{At: second + sim.Tick(r.Int64N(int64(18*second))), For: 100*ms + sim.Tick(r.ExpFloat64()*float64(2*second)), A: node()}
		switch r.IntN(6) {
		case 0, 1:
			a.Do, a.A, a.Groups = sim.DoSplit, 0, make([][]sim.NodeID, 2)
			for id := range n {
				side := r.IntN(2)
				a.Groups[side] = append(a.Groups[side], sim.NodeID(id+1))
			}
		case 2:
			a.Do, a.B = sim.DoCut, node()
		case 3:
			a.Do = sim.DoPause
		case 4:
			a.Do, a.P = sim.DoLoss, 0.3
		case 5:
			a.Do, a.A = sim.DoCrash, sim.NodeID(mortal[r.IntN(len(mortal))]+1)
		}
		p.Actions = append(p.Actions, a)
	}
	return p
}

// register is one key.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, o := range history {
			k := o.Input.(input).Key
			byKey[k] = append(byKey[k], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, in, out any) (bool, any) {
		op, value := in.(input), state.(string)
		done := op.Put && (!op.If || value == op.Old)
		next := value
		if done {
			next = op.Value
		}
		if found, known := out.(kv.Result); known && found != (kv.Result{Value: value, Done: done}) {
			return false, state
		}
		return true, next
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}

func (h *history) linearizable(t *testing.T) bool {
	t.Helper()
	switch porcupine.CheckOperationsTimeout(register, h.operations, time.Minute) {
	case porcupine.Unknown:
		t.Error("porcupine did not come to an end within a minute")
	case porcupine.Illegal:
		return false
	}
	return true
}

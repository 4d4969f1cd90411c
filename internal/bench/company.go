package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
)

// company is the processes of a run: daemons, and programs beside them.
type company struct {
	ctx     context.Context
	stage   *Stage
	command []string // of the programs
	daemons []*Process
	helpers []*helper
}

// gather starts a daemon on each node.
func gather(ctx context.Context, stage *Stage, d Daemon, program []string) (*company, error) {
	x := &company{ctx: ctx, stage: stage, command: program}
	for _, n := range stage.Nodes {
		p, err := StartProcess(d, stage, n)
		if err != nil {
			x.stop()
			return nil, err
		}
		x.daemons = append(x.daemons, p)
	}
	return x, nil
}

// helper is a program that says one JSON text for each line that it is told, and
// one, null, when it is ready.
type helper struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr bytes.Buffer
	stop   func() bool
	wait   func() error // for its end; may be called again
}

// start starts a program on a node and waits until it is ready.
func (x *company) start(node int, args ...string) (*helper, error) {
	n := x.stage.Nodes[node]
	h := &helper{cmd: n.Command(x.command[0], append(append([]string(nil), x.command[1:]...), args...)...)}
	h.cmd.Stderr = &h.stderr
	in, err := h.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %q on %s: %w", args[0], n.Name, err)
	}
	h.in, h.out, h.wait = in, json.NewDecoder(out), sync.OnceValue(h.cmd.Wait)
	h.stop = context.AfterFunc(x.ctx, func() { _ = h.cmd.Process.Kill() })
	x.helpers = append(x.helpers, h)
	return h, h.said(nil)
}

// said reads what the program says next.
func (h *helper) said(v any) error {
	if v == nil {
		v = new(any)
	}
	if err := h.out.Decode(v); err != nil {
		_ = h.cmd.Process.Kill()
		return fmt.Errorf("%q: %w", h.cmd.Args[len(h.cmd.Args)-2], errors.Join(err, h.wait(), errors.New(h.stderr.String())))
	}
	return nil
}

// tell gives the program an order.
func (h *helper) tell(order any) error {
	line, err := json.Marshal(order)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(h.in, "%s\n", line)
	return err
}

// ask has programs do something at the same time, and returns what they say.
func ask[A any](programs []*helper, order any) ([]A, error) {
	for _, h := range programs {
		if err := h.tell(order); err != nil {
			return nil, err
		}
	}
	return answersOf[A](programs)
}

// answersOf is what programs say next. It ends with the first that fails: the others
// may wait for it for ever.
func answersOf[A any](programs []*helper) ([]A, error) {
	type answer struct {
		from  int
		value A
		err   error
	}
	come := make(chan answer, len(programs))
	for i, h := range programs {
		go func() {
			one := answer{from: i}
			one.err = h.said(&one.value)
			come <- one
		}()
	}
	all := make([]A, len(programs))
	for range programs {
		one := <-come
		if one.err != nil {
			return nil, one.err
		}
		all[one.from] = one.value
	}
	return all, nil
}

func (x *company) stop() {
	for _, h := range x.helpers {
		h.stop()
		_ = h.cmd.Process.Kill()
		_ = h.wait()
	}
	for _, d := range x.daemons {
		d.Stop(context.WithoutCancel(x.ctx))
	}
}

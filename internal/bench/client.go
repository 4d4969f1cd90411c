package bench

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed client/cpgbench.c
var clientSource []byte

// BuildClient compiles the libcpg client into the scratch directory and gives the
// command that runs it.
func BuildClient(ctx context.Context, stage *Stage) (argv []string, err error) {
	source := filepath.Join(stage.Dir, "cpgbench.c")
	if err := os.WriteFile(source, clientSource, 0o644); err != nil {
		return nil, err
	}
	path := strings.TrimSuffix(source, ".c")
	out, err := exec.CommandContext(ctx, "cc", "-O2", "-o", path, source, "-lcpg").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("compile the libcpg client: %w (needs a C compiler and libcpg-dev): %s", err, out)
	}
	return []string{path}, nil
}

// monotonic is the clock that clients stamp with.
func monotonic() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail for this clock
	return time.Duration(t.Nano())
}

// event is one line of the client.
type event struct {
	Event   string        `json:"event"`
	At      time.Duration `json:"t"`
	Members []int         `json:"members"` // view: node ids
	Call    string        `json:"call"`    // lost: the call that failed
	Error   int           `json:"error"`   // lost: its cs_error_t
	clientResult
}

// clientResult is what one client counted in one run.
type clientResult struct {
	Node        int       `json:"node"`
	Run         int       `json:"run"`
	Sent        uint64    `json:"sent"`
	Own         uint64    `json:"own"`
	Delivered   uint64    `json:"delivered"`
	Count       uint64    `json:"count"` // delivered in the measured time
	Bytes       uint64    `json:"bytes"`
	Again       uint64    `json:"again"` // answers "try again"
	Corrupt     uint64    `json:"corrupt"`
	Hash        string    `json:"hash"` // over the delivered order
	OwnLatency  Histogram `json:"own_latency"`
	PeerLatency Histogram `json:"peer_latency"`
}

// order is one "run" line.
type order struct {
	Run, Size, Window  int
	Sending            bool
	Senders            int
	Rate               int // messages a second of this sender, 0: as fast as the window allows
	Start, Warm, Until time.Duration
}

func (o order) String() string {
	sending := 0
	if o.Sending {
		sending = 1
	}
	return fmt.Sprintf("run %d %d %d %d %d %d %d %d %d\n",
		o.Run, o.Size, o.Window, sending, o.Senders, o.Rate, o.Start, o.Warm, o.Until)
}

// Client is a running client.
type Client struct {
	Node *Node

	cmd    *exec.Cmd
	orders io.WriteCloser
	stderr strings.Builder
	done   chan struct{}

	mu     sync.Mutex // guards events, err
	events []event    // in order, without those that next consumed
	err    error      // why no further event comes
	news   chan struct{}
}

// StartClient starts a client on node. It joins group and reports "ready"
// once members processes are in it.
func StartClient(argv []string, node *Node, group string, members int) (*Client, error) {
	c := &Client{Node: node, done: make(chan struct{}), news: make(chan struct{}, 1)}
	c.cmd = node.Command(argv[0], append(slices.Clone(argv[1:]), group, fmt.Sprint(members))...)
	c.cmd.Stderr = &c.stderr
	var err error
	if c.orders, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the client on %s: %w", node.Name, err)
	}
	go c.read(out)
	return c, nil
}

func (c *Client) read(out io.Reader) {
	defer close(c.done)
	lines := bufio.NewReader(out)
	for {
		var e event
		line, err := lines.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &e)
		}
		if err != nil {
			werr := c.cmd.Wait()
			c.push(nil, fmt.Errorf("the client on %s ended: %w: %s", c.Node.Name, errors.Join(werr, err), c.stderr.String()))
			return
		}
		c.push(&e, nil)
	}
}

func (c *Client) push(e *event, err error) {
	c.mu.Lock()
	if e != nil {
		c.events = append(c.events, *e)
	}
	c.err = err
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// next waits for the first event that match accepts and drops all before it.
func (c *Client) next(ctx context.Context, match func(*event) bool) (event, error) {
	for {
		c.mu.Lock()
		for len(c.events) > 0 {
			e := c.events[0]
			c.events = c.events[1:]
			if e.Event == "lost" {
				c.mu.Unlock()
				return event{}, fmt.Errorf("the client on %s lost its daemon: %s answered %d", c.Node.Name, e.Call, e.Error)
			}
			if match(&e) {
				c.mu.Unlock()
				return e, nil
			}
		}
		err := c.err
		c.mu.Unlock()
		if err != nil {
			return event{}, err
		}
		select {
		case <-c.news:
		case <-ctx.Done():
			return event{}, fmt.Errorf("wait for the client on %s: %w", c.Node.Name, context.Cause(ctx))
		}
	}
}

// Ready waits until all members are in the group.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.next(ctx, func(e *event) bool { return e.Event == "ready" })
	return err
}

// Order starts a run.
func (c *Client) Order(o order) error {
	_, err := io.WriteString(c.orders, o.String())
	return err
}

// Result waits for the end of a run.
func (c *Client) Result(ctx context.Context, run int) (clientResult, error) {
	e, err := c.next(ctx, func(e *event) bool { return e.Event == "result" && e.Run == run })
	return e.clientResult, err
}

// View waits for a configuration change later than after that match accepts.
func (c *Client) View(ctx context.Context, after time.Duration, match func(members []int) bool) (at time.Duration, err error) {
	e, err := c.next(ctx, func(e *event) bool { return e.Event == "view" && e.At > after && match(e.Members) })
	return e.At, err
}

// PID is the process id as the stage sees it.
func (c *Client) PID() int { return c.cmd.Process.Pid }

// Kill ends the client.
func (c *Client) Kill() {
	_ = c.cmd.Process.Kill()
	_ = c.orders.Close()
	<-c.done
}

package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Daemon is one kind of cluster daemon under test.
type Daemon interface {
	// Name is the column heading.
	Name() string
	// Command writes what the daemon of node needs below node.Dir and returns
	// the command that runs it in the foreground.
	Command(stage *Stage, node *Node) (*exec.Cmd, error)
}

// Corosync is a daemon that reads corosync.conf: Debian's corosync, or
// "moot agent".
type Corosync struct {
	Label    string
	Argv     []string // the configuration file's name is appended
	Encrypt  bool     // aes256 and sha256 with a key; otherwise no crypto keys
	Realtime bool     // leave scheduling to the daemon's default
	Totem    []string // further "key: value" lines of the totem section
}

// Name implements Daemon.
func (c Corosync) Name() string { return c.Label }

// Command implements Daemon.
func (c Corosync) Command(stage *Stage, node *Node) (*exec.Cmd, error) {
	key := filepath.Join(stage.Dir, "authkey")
	if err := writeKey(key); err != nil {
		return nil, err
	}
	file := filepath.Join(node.Dir, "corosync.conf")
	if err := os.WriteFile(file, c.config(stage, key), 0o644); err != nil {
		return nil, err
	}
	argv := append(append([]string(nil), c.Argv...), file)
	return node.Command(argv[0], argv[1:]...), nil
}

func (c Corosync) config(stage *Stage, key string) []byte {
	var b bytes.Buffer
	b.WriteString("totem {\n\tversion: 2\n\tcluster_name: bench\n\ttransport: knet\n")
	if c.Encrypt {
		fmt.Fprintf(&b, "\tcrypto_cipher: aes256\n\tcrypto_hash: sha256\n\tkeyfile: %s\n", key)
	}
	for _, line := range c.Totem {
		fmt.Fprintf(&b, "\t%s\n", line)
	}
	b.WriteString("}\nnodelist {\n")
	for _, n := range stage.Nodes {
		fmt.Fprintf(&b, "\tnode {\n\t\tname: %s\n\t\tnodeid: %d\n\t\tring0_addr: %s\n\t}\n", n.Name, n.ID, n.Addr)
	}
	b.WriteString("}\nquorum {\n\tprovider: corosync_votequorum\n}\n")
	b.WriteString("logging {\n\tto_stderr: yes\n\tto_syslog: no\n\tto_logfile: no\n\tdebug: off\n}\n")
	b.WriteString("system {\n\tmove_to_root_cgroup: no\n")
	if !c.Realtime {
		b.WriteString("\tsched_rr: no\n")
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// Moot is our agent, under the configuration that corosync gets.
type Moot struct {
	Corosync
	Program string // the moot binary
	State   string // directory for the nodes' states; empty: on tmpfs
}

// NewMoot is "program agent" with sealing under a key.
func NewMoot(program string, realtime bool) Moot {
	return Moot{Corosync: Corosync{Label: "moot", Argv: []string{program, "agent", "-c"}, Encrypt: true, Realtime: realtime}, Program: program}
}

// Command implements Daemon.
func (m Moot) Command(stage *Stage, node *Node) (*exec.Cmd, error) {
	cmd, err := m.Corosync.Command(stage, node)
	if err == nil && m.State != "" {
		cmd.Env = append(os.Environ(), "MOOTHALL_STATE_DIR="+filepath.Join(m.State, node.Name))
	}
	return cmd, err
}

// Pauses implements Pauser.
func (m Moot) Pauses(node *Node) (count uint64, longest time.Duration, err error) {
	out, err := node.Command(m.Program, "status", "--json").Output()
	if err != nil {
		return 0, 0, fmt.Errorf("ask the agent of %s for its status: %w", node.Name, err)
	}
	var status struct {
		Watchdog struct {
			Gaps      uint64  `json:"gaps"`
			LongestMS float64 `json:"longest_ms"`
		} `json:"watchdog"`
	}
	if err := json.Unmarshal(out, &status); err != nil {
		return 0, 0, fmt.Errorf("the status of %s: %w", node.Name, err)
	}
	return status.Watchdog.Gaps, time.Duration(status.Watchdog.LongestMS * float64(time.Millisecond)), nil
}

// writeKey makes the cluster's key once.
func writeKey(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	key := make([]byte, 256)
	_, _ = rand.Read(key) // never fails
	return os.WriteFile(path, key, 0o400)
}

// Process is a running daemon.
type Process struct {
	Node *Node
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // valid once done is closed
}

// StartProcess starts the daemon of node.
func StartProcess(d Daemon, stage *Stage, node *Node) (*Process, error) {
	cmd, err := d.Command(stage, node)
	if err != nil {
		return nil, fmt.Errorf("prepare %s on %s: %w", d.Name(), node.Name, err)
	}
	p := &Process{Node: node, cmd: cmd, log: filepath.Join(node.Dir, "daemon.log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", d.Name(), node.Name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the process id as the stage sees it.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop asks the daemon to end, and kills it when it does not.
func (p *Process) Stop(ctx context.Context) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, graceOfStop)
	defer cancel()
	select {
	case <-p.done:
	case <-ctx.Done():
		p.Kill()
	}
}

// Kill ends the daemon with SIGKILL and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Explain adds the last lines of the daemon's log to an error.
func (p *Process) Explain(err error) error {
	text, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	lines = lines[max(0, len(lines)-8):]
	return fmt.Errorf("%w\nlast words of the daemon of %s:\n\t%s", err, p.Node.Name, strings.Join(lines, "\n\t"))
}

// Version asks a program for its version, for the description of the run.
func Version(ctx context.Context, argv ...string) string {
	ctx, cancel := context.WithTimeout(ctx, graceOfStop)
	defer cancel()
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

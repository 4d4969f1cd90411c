package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	stageEnv     = "MOOTHALL_BENCH_STAGE"
	graceOfStop  = 5 * time.Second
	bridgeDevice = "moot0"
	nodeDevice   = "eth0"
)

// Enter runs this program with args on a fresh stage, unless this process is
// the stage already. It reports whether this is the stage; if not, status is
// the exit status of the stage.
//
// Ending ctx asks the stage to stop; it gets some seconds to take its
// processes down before the kernel does it.
func Enter(ctx context.Context, args ...string) (onStage bool, status int, err error) {
	if os.Getenv(stageEnv) != "" {
		return true, 0, nil
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), stageEnv+"=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * graceOfStop
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return false, exit.ExitCode(), nil
	}
	if err != nil {
		return false, 1, fmt.Errorf("start the stage in namespaces of its own: %w (needs root or unprivileged user namespaces)", err)
	}
	return false, 0, nil
}

// Stage is a small network of nodes on this machine.
type Stage struct {
	Dir   string // scratch directory on tmpfs, seen by all nodes
	Nodes []*Node
}

// Node is one node of a stage: a network and a mount namespace with empty
// /run, /dev/shm and /var/lib.
type Node struct {
	ID   int // from 1
	Name string
	Addr netip.Addr
	Dir  string // scratch directory of this node

	holder *exec.Cmd // keeps the namespaces
}

// NewStage builds n nodes on a bridge. Close takes them down.
func NewStage(n int) (_ *Stage, err error) {
	if os.Getenv(stageEnv) == "" {
		return nil, errors.New("bench: not on a stage, call Enter first")
	}
	for _, tool := range []string{"ip", "mount", "nsenter", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%w: install iproute2, mount and util-linux", err)
		}
	}
	dir, err := os.MkdirTemp("", "moot-bench-")
	if err != nil {
		return nil, err
	}
	s := &Stage{Dir: dir}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	err = shell(`mount --make-rprivate /
		mount -t tmpfs tmpfs ` + dir + `
		ip link set lo up
		ip link add ` + bridgeDevice + ` type bridge
		ip link set ` + bridgeDevice + ` up`)
	if err != nil {
		return nil, err
	}
	for id := 1; id <= n; id++ {
		node, err := newNode(id, dir)
		if err != nil {
			return nil, fmt.Errorf("build node %d: %w", id, err)
		}
		s.Nodes = append(s.Nodes, node)
	}
	return s, nil
}

func newNode(id int, dir string) (_ *Node, err error) {
	n := &Node{
		ID:   id,
		Name: "n" + strconv.Itoa(id),
		Addr: netip.AddrFrom4([4]byte{10, 77, 0, byte(id)}),
		Dir:  filepath.Join(dir, "n"+strconv.Itoa(id)),
	}
	if err := os.Mkdir(n.Dir, 0o755); err != nil {
		return nil, err
	}
	n.holder = exec.Command("unshare", "--net", "--mount", "--uts", "sh", "-ec", `
		mount -t tmpfs tmpfs /run
		mount -t tmpfs tmpfs /dev/shm
		mount -t tmpfs tmpfs /var/lib
		mkdir /var/lib/corosync /var/lib/moothall /run/moothall
		hostname `+n.Name+`
		ip link set lo up
		echo up
		exec cat`)
	n.holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	n.holder.Stderr = os.Stderr
	// The holder lives as long as its input is open.
	if _, err := n.holder.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := n.holder.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.holder.Start(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	if _, err := io.ReadFull(out, make([]byte, len("up\n"))); err != nil {
		return nil, fmt.Errorf("the namespaces did not come up: %w", err)
	}
	err = shell(fmt.Sprintf(`ip link add %[1]s type veth peer name %[2]s netns %[3]d
		ip link set %[1]s master %[4]s up`, n.Port(), nodeDevice, n.holder.Process.Pid, bridgeDevice))
	if err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"addr", "add", n.Addr.String() + "/24", "dev", nodeDevice},
		{"link", "set", nodeDevice, "up"},
	} {
		if out, err := n.Command("ip", args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return n, nil
}

// Command is a command that will run inside the node, and be killed when the
// stage ends.
func (n *Node) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{
		"--target", strconv.Itoa(n.holder.Process.Pid), "--net", "--mount", "--uts", "--", name,
	}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Port is the interface of the bridge to which the node is wired.
func (n *Node) Port() string { return "port" + strconv.Itoa(n.ID) }

// Path is how this program finds a file that the node knows by an absolute path
// on a file system of its own.
func (n *Node) Path(inside string) string {
	return fmt.Sprintf("/proc/%d/root%s", n.holder.Process.Pid, inside)
}

// NetNS opens the network namespace of the node.
func (n *Node) NetNS() (*os.File, error) {
	return os.Open(fmt.Sprintf("/proc/%d/ns/net", n.holder.Process.Pid))
}

// Inside calls f in the network namespace of the node; sockets that f makes stay
// there. The thread comes back and lives on: processes that it started, as the
// holders of nodes, are killed when it ends (Pdeathsig).
func (n *Node) Inside(f func() error) error {
	there, err := n.NetNS()
	if err != nil {
		return err
	}
	defer there.Close()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer here.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("setns", err)
	}
	defer func() {
		if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(fmt.Sprintf("bench: a thread is lost in the namespace of %s: %v", n.Name, err))
		}
	}()
	return f()
}

// SetLink takes the node's interface up or down.
func (n *Node) SetLink(up bool) error {
	state := "down"
	if up {
		state = "up"
	}
	out, err := n.Command("ip", "link", "set", nodeDevice, state).CombinedOutput()
	if err != nil {
		return fmt.Errorf("set the link of %s %s: %w: %s", n.Name, state, err, out)
	}
	return nil
}

func (n *Node) close() {
	_ = n.holder.Process.Kill()
	_ = n.holder.Wait()
}

// Close ends the nodes and removes the scratch directory. Processes started
// with Command must have ended before.
func (s *Stage) Close() error {
	for _, n := range s.Nodes {
		n.close()
	}
	return shell("umount --lazy " + s.Dir + " && rmdir " + s.Dir)
}

// Interrupted is a context that ends at SIGINT and SIGTERM.
func Interrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
}

func shell(script string) error {
	cmd := exec.Command("sh", "-ec", script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

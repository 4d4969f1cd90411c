package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/internal/service/outside"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

// FDEnv is the environment variable with the number of the socket that the agent
// gave to the process.
const FDEnv = "MOOTHALL_SERVICE_FD"

// Main runs a service in a process that the agent started, and ends the process.
// It logs to standard error, which goes to the agent's log.
func Main(s service.Service) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s service.Service) error {
	conn, err := given()
	if err != nil {
		return err
	}
	err = Serve(ctx, conn, s, Config{Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: untimed}))})
	if errors.Is(err, context.Canceled) || errors.Is(err, client.ErrGone) {
		return nil // as the agent wished
	}
	return err
}

// untimed leaves the time to the agent's log.
func untimed(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// given is the socket that the agent gave.
func given() (*net.UnixConn, error) {
	text := os.Getenv(FDEnv)
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("remote: %s is %q: this program is a service that moot agent starts; name it in [[service]] of moot.toml", FDEnv, text)
	}
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "agent")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("remote: the agent's socket %s=%d: %w", FDEnv, fd, err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("remote: %s=%d is not the agent's socket", FDEnv, fd)
	}
	return u, nil
}

// Config is how a service runs.
type Config struct {
	Log *slog.Logger // nil discards
}

// window is the credit for what the agent tells.
const window = 4 << 20

// Serve runs a service until ctx ends or the agent goes, which the error says. The
// connection leads to the agent, which expects this process; Serve closes it.
func Serve(ctx context.Context, conn *net.UnixConn, s service.Service, c Config) error {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	info := s.Info()
	if err := info.Check(); err != nil {
		_ = conn.Close()
		return err
	}
	agent, err := client.Dial(ctx, client.Config{Conn: conn, Window: window})
	if err != nil {
		return err
	}
	defer agent.Close()
	line, err := agent.Open(ctx, info.ID)
	if err != nil {
		return refused(&info, err)
	}
	w, err := register(ctx, line, &info)
	if err != nil {
		return refused(&info, err)
	}
	h, err := newHost(ctx, line, s, info, w, c.Log)
	if err != nil {
		return err
	}
	return h.run()
}

func register(ctx context.Context, line session.Conn, info *service.Info) (outside.Welcome, error) {
	q := outside.Register{Protocol: outside.Protocol, ID: info.ID, Name: info.Name}
	b, err := line.Call(ctx, outside.CallRegister, q.AppendTo(nil))
	if err != nil {
		return outside.Welcome{}, err
	}
	return outside.ParseWelcome(b)
}

// refused says what to do about an agent that does not want the service.
func refused(info *service.Info, err error) error {
	switch service.CodeOf(err) {
	case service.ErrNotExist, service.ErrInvalidParam, service.ErrAccess:
		return fmt.Errorf("remote: the agent does not expect service %s with id %d of this process: write in moot.toml what the program says: %w", info.Name, info.ID, err)
	case service.ErrVersion:
		return fmt.Errorf("remote: the agent speaks another protocol than %d: %w", outside.Protocol, err)
	}
	return fmt.Errorf("remote: the agent refuses service %s: %w", info.Name, err)
}

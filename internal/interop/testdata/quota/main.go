// Command quota is a service of somebody who has read the tutorial and the
// documentation of packages, and nothing else: programs on all nodes take units of
// named quotas, and together they get no more than there are.
//
// An agent runs it by its [[service]]. By hand:
//
//	quota member CONFIGURATION NODE STATE-DIR RUN-DIR    a member with the service inside
//	quota take SOCKET PROGRAM QUOTA                      takes units, one by one, until its input ends
//	quota show SOCKET                                    what this node knows
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
	"github.com/moothall/moothall/service/remote"
)

func main() {
	if os.Getenv(remote.FDEnv) != "" { // an agent started us
		remote.Main(newQuotas())
		return
	}
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 5 && args[0] == "member":
		return member(ctx, args[1], args[2], args[3], args[4])
	case len(args) == 4 && args[0] == "take":
		ended := make(chan bool)
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			close(ended)
		}()
		return taker(ctx, args[1], args[2], args[3], ended)
	case len(args) == 2 && args[0] == "show":
		return show(ctx, args[1])
	}
	return errors.New("usage: quota member CONFIGURATION NODE STATE-DIR RUN-DIR | take SOCKET PROGRAM QUOTA | show SOCKET")
}

// member runs a node of the cluster with the service inside.
func member(ctx context.Context, conf, name, state, run string) error {
	c, problems := config.Load(conf)
	if err := problems.Err(); err != nil {
		return err
	}
	self, err := c.FindNode(name)
	if err != nil {
		return err
	}
	key, _, err := c.LoadKey("")
	if err != nil {
		return err
	}
	n, err := node.Start(ctx, node.Config{Cluster: c, Self: self.ID, Key: key, StateDir: state, RunDir: run,
		Services: []func() service.Service{func() service.Service { return newQuotas() }},
		Log:      slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	select {
	case <-n.Done():
		return n.Err()
	case <-ctx.Done():
	}
	leaving, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return n.Leave(leaving)
}

// taker takes units, one a time, whatever happens to the service and to the agent.
func taker(ctx context.Context, socket, program, quota string, ended <-chan bool) error {
	c, err := client.Dial(ctx, client.Config{Socket: socket, Reconnect: true})
	if err != nil {
		return err
	}
	defer c.Close()
	var conn service.ClientConn
	acknowledged := 0
	for number := uint64(1); ; {
		if conn == nil {
			if conn, err = c.OpenNamed(ctx, "quota"); err != nil {
				if err := again(ctx, err); err != nil {
					return err
				}
				conn = nil
				continue
			}
		}
		body, err := json.Marshal(take{program, number, quota, 1})
		if err != nil {
			return err
		}
		answer, err := conn.Call(ctx, callTake, body)
		switch {
		case errors.Is(err, service.ErrClosed): // what became of it is not known; it is asked for again
			fmt.Println("lost", number)
			_ = conn.Close()
			conn = nil
			continue
		case err != nil:
			if err := again(ctx, err); err != nil {
				return err
			}
			continue
		}
		var r receipt
		if err := json.Unmarshal(answer, &r); err != nil {
			return err
		}
		if r.Granted {
			acknowledged++
		}
		fmt.Println("took", number, r.Granted, r.Used)
		number++
		select {
		case <-ended:
			fmt.Println("acknowledged", acknowledged, "of", number-1)
			return nil
		default:
		}
	}
}

// again waits before something is tried again, if that may help.
func again(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, service.ErrAgain), errors.Is(err, service.ErrClosed), errors.Is(err, service.ErrNotExist), errors.Is(err, client.ErrGone):
		time.Sleep(20 * time.Millisecond)
		return nil
	}
	return err
}

func show(ctx context.Context, socket string) error {
	c, err := client.Dial(ctx, client.Config{Socket: socket})
	if err != nil {
		return err
	}
	defer c.Close()
	conn, err := c.OpenNamed(ctx, "quota")
	if err != nil {
		return err
	}
	b, err := conn.Call(ctx, callShow, nil)
	fmt.Printf("%s\n", b)
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/node"
)

// dialling is what commands have that are programs of the cluster themselves.
type dialling struct{ asking }

// flags adds the options to a command.
func (d *dialling) flags(cmd *cobra.Command) {
	d.asking.flags(cmd)
	cmd.Flags().Lookup("run").Usage += "; MOOTHALL_SOCKET names another socket for programs"
}

// dial connects to the agent as programs do.
func (d *dialling) dial(ctx context.Context) (*client.Client, error) {
	socket := os.Getenv(client.SocketEnv)
	if socket == "" {
		socket = filepath.Join(d.run, node.AgentSocket)
	}
	dialCtx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	c, err := client.Dial(dialCtx, client.Config{Socket: socket})
	if err != nil {
		return nil, noAnswerAt(socket, err)
	}
	return c, nil
}

// names are what people call the nodes, as far as the agent tells.
func (d *dialling) names(ctx context.Context) map[cpg.NodeID]string {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	out := map[cpg.NodeID]string{}
	nodes, _ := d.agent().Nodes(ctx) // without them they are called by number
	for _, n := range nodes.Nodes {
		out[n.ID] = n.Name
	}
	return out
}

// errNobody is the answer to a message that nobody would get.
func errNobody(group string) error {
	return failed(exitNotFound, fmt.Errorf("no process is in a group %q, so nobody would get the message", group))
}

// lost says why a stream ended.
func lost(err error) error {
	if errors.Is(err, cpg.ErrClosed) {
		return &lostError{err}
	}
	return err
}

// lostError says once what an error of a stream says layer by layer.
type lostError struct{ err error }

func (e *lostError) Error() string {
	if _, why, found := strings.Cut(e.err.Error(), client.ErrGone.Error()+": "); found {
		return "the agent ended the connection: " + strings.TrimPrefix(why, "the agent ended the connection: ")
	}
	return "the agent ended the connection: " + e.err.Error()
}

func (e *lostError) Unwrap() error { return e.err }

// process is a member for people.
func process(p admin.Process) string {
	who := p.NodeName
	if who == "" {
		who = fmt.Sprint("node ", p.Node)
	}
	return fmt.Sprintf("%s/%d", who, p.PID)
}

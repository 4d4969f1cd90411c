package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/service"
)

// Config says which node of which cluster runs, and where.
type Config struct {
	// Cluster is the cluster's configuration, from config.Load or config.New. Its
	// addresses are resolved if they are not yet. It must not change any more.
	Cluster *config.Config
	// Self is the node of the cluster to run.
	Self config.NodeID
	// Key is the cluster's secret, config.MinKey to config.MaxKey bytes. Empty:
	// frames are sealed with a key made from the cluster's name, which keeps nobody
	// out who knows it.
	Key []byte

	// StateDir holds the ring record, of one member alone. Empty: Cluster.StateDir.
	StateDir string
	// RunDir holds the admin socket and the one for package client. Empty: there are
	// none.
	RunDir string
	// ForgetRing starts as if new when the record is unreadable or another node's.
	ForgetRing bool
	// CorosyncDoor serves Corosync's client libraries. A network namespace has one
	// such door.
	CorosyncDoor bool

	// Services are services of other people that this member runs besides the
	// built-in ones (package service), one function each. Their ids are
	// service.FirstID to service.LastID. A function is called once to see what the
	// service is and once for each life of the member, which may start anew inside of
	// the process: it makes a new value each time. All nodes should run the same ones.
	Services []func() service.Service

	// Reload reads the cluster's configuration anew, resolved, when somebody asks
	// all members to do so. Problems are what is no error. Nil: this member
	// refuses, and so nobody reloads.
	Reload func(context.Context) (*config.Config, config.Problems, error)

	// Log gets what the member has to say. Nil discards.
	Log *slog.Logger
	// Logs, if not nil, is how Log is changed while the member runs.
	Logs Logs
	// Trace, if not empty, is the file that all events of the ordering engine are
	// appended to, for whoever judges them later. It costs time and much space.
	Trace string
	// Version is what Status says; informative.
	Version string

	// Drop, if not nil, is asked for each datagram that leaves and drops it if it
	// answers true: a cable that is out, for tests and demonstrations.
	Drop func(to config.NodeID) bool
	// Disk, if not nil, takes the place of the file system below StateDir, for tests.
	Disk store.FS
}

// Logs changes where a log goes to, and how much of it. The methods may be
// called from any goroutine.
type Logs interface {
	// Check says whether all that Configure needs can be opened, and leaves all as
	// it is. It may wait for a disk; the others never wait.
	Check(config.Logging) error
	// Configure logs like that, soon. If that fails the log tells why, and stays
	// as it was.
	Configure(config.Logging)
	// Reopen opens files anew, soon, after somebody moved them away.
	Reopen()
}

// A Part of the start that can fail.
type Part uint8

// Parts of StartError.
const (
	PartConfig  Part = iota + 1 // what is configured cannot be served
	PartState                   // the state directory or what is in it
	PartRunDir                  // the run directory and its sockets
	PartLinks                   // an address or port is not to be had
	PartService                 // a service or the engine refused to start
	PartDoor                    // a door for clients
	PartTrace                   // the file of the trace
)

// StartError says which part of a start failed. Its text says what to do.
type StartError struct {
	Part Part
	Err  error
}

func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *StartError) Unwrap() error { return e.Err }

// failed gives err its part; nil stays nil.
func failed(p Part, err error) error {
	if err == nil {
		return nil
	}
	return &StartError{p, err}
}

// self checks the configuration and finds the own node in it.
func (c *Config) self() (config.Node, error) {
	if c.Cluster == nil {
		return config.Node{}, errors.New("node: no cluster is configured")
	}
	if err := c.Cluster.Validate().Err(); err != nil {
		return config.Node{}, err
	}
	if n := len(c.Key); n != 0 && (n < config.MinKey || n > config.MaxKey) {
		return config.Node{}, fmt.Errorf("node: a key of %d bytes, %d to %d are needed", n, config.MinKey, config.MaxKey)
	}
	self, ok := c.Cluster.Node(c.Self)
	if !ok {
		return self, fmt.Errorf("node: node %d is not in the list of nodes", c.Self)
	}
	return self, nil
}

// resolved reports whether each node has its addresses.
func resolved(c *config.Config) bool {
	return !slices.ContainsFunc(c.Nodes, func(n config.Node) bool { return len(n.Links) != len(n.Addrs) })
}

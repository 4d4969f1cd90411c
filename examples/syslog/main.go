// Command syslog is the service with which cluster services have been explained
// since 2004: log lines of every node in one order on all nodes. An agent runs it by
//
//	[[service]]
//	name = "syslog"
//	id = 41
//	command = "/path/of/syslog"
//
// and its log gets the lines. "syslog -send" gives the agent of this machine the
// lines that it reads; started without an option, syslog shows itself on three
// nodes in this process.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
	"github.com/moothall/moothall/service/remote"
)

func main() {
	if os.Getenv(remote.FDEnv) != "" { // an agent started us
		remote.Main(&syslog{out: os.Stderr})
		return
	}
	toAgent := flag.Bool("send", false, "send the lines of standard input to the agent of this machine")
	flag.Parse()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if *toAgent {
		agent, err := client.Dial(ctx, client.Config{})
		if err == nil {
			defer agent.Close()
			err = send(ctx, agent, os.Stdin)
		}
		if err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := show(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// send logs what it reads.
func send(ctx context.Context, s service.NamedSession, in io.Reader) error {
	c, err := s.OpenNamed(ctx, "syslog")
	if err != nil {
		return err
	}
	defer c.Close()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if _, err := c.Call(ctx, callLog, lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// book is one node's log. It is full when it has nine lines besides the remarks
// on configurations.
type book struct {
	full chan struct{}

	mu    sync.Mutex // guards what follows
	text  strings.Builder
	lines int
}

func newBook() *book { return &book{full: make(chan struct{})} }

// Write takes one line.
func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !bytes.HasPrefix(p, []byte("--")) {
		if b.lines++; b.lines == 9 {
			close(b.full)
		}
	}
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// show has each of three nodes log three lines, and writes what they all wrote.
func show(ctx context.Context, w io.Writer) error {
	books, made := make([]*book, 3), 0
	for i := range books {
		books[i] = newBook()
	}
	cluster, err := node.StartCluster(ctx, len(books), func() service.Service {
		b := books[min(made/2, len(books)-1)] // each node asks once what the service is, then for its own
		made++
		return &syslog{out: b}
	})
	if err != nil {
		return err
	}
	defer cluster.Close()
	ended := make(chan error)
	for _, n := range cluster.Nodes() {
		go func() { ended <- send(ctx, n, strings.NewReader("one\ntwo\nthree\n")) }()
	}
	for range books {
		if err := <-ended; err != nil {
			return err
		}
	}
	for i, b := range books {
		select {
		case <-b.full:
		case <-ctx.Done():
			return ctx.Err()
		}
		fmt.Fprintf(w, "node %d wrote\n%s\n", i+1, b)
	}
	return nil
}

package admin_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/node"
)

// A program follows what happens at an agent; here one that runs in the same
// process.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	runDir, stop := agent(ctx)
	defer stop()

	agent := admin.New(runDir)
	for e, err := range agent.Follow(ctx, "") {
		if err != nil {
			log.Fatal(err)
		}
		if e.Type == admin.EventQuorum {
			break // it was decided for the first time
		}
	}
	st, err := agent.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(st.Node.Name, "of", st.Cluster, "is in a ring of", st.Ring.Members, "quorate:", st.Quorum.Quorate)
	// Output: anna of hall is in a ring of [1] quorate: true
}

// agent starts a node with a run directory.
func agent(ctx context.Context) (runDir string, stop func()) {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	port := free.LocalAddr().(*net.UDPAddr).Port
	free.Close()
	c := config.New("hall", config.Node{ID: 1, Name: "anna", Addrs: []string{"127.0.0.1"}})
	c.Totem.Interfaces = []config.Interface{{Port: uint16(port)}}
	n, err := node.Start(ctx, node.Config{Cluster: c, Self: 1, RunDir: dir + "/run", StateDir: dir + "/state"})
	if err != nil {
		log.Fatal(err)
	}
	return dir + "/run", func() {
		n.Halt()
		os.RemoveAll(dir)
	}
}

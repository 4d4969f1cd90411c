package config_test

import (
	"fmt"

	"github.com/moothall/moothall/config"
)

// A file is read as a whole, and each problem has a place and a remedy.
func Example() {
	const file = `totem {
    version: 2
    cluster_name: hall
    tokn: 1000
}
quorum {
    provider: corosync_votequorum
}
nodelist {
    node {
        nodeid: 1
        name: anna
        ring0_addr: 192.0.2.1
    }
    node {
        nodeid: 2
        name: bert
        ring0_addr: 192.0.2.2
    }
}
`
	c, problems := config.Decoder{}.Decode("corosync.conf", []byte(file))
	for _, p := range problems {
		if p.Severity != config.Note {
			fmt.Println(p)
		}
	}
	fmt.Println(c.Totem.ClusterName, len(c.Nodes), "nodes,", c.Quorum.ExpectedVotes, "votes")
	// Output:
	// corosync.conf:4:5: unknown key totem.tokn; did you mean totem.token?
	// hall 2 nodes, 2 votes
}

// Programs that embed a node need no file.
func ExampleNew() {
	c := config.New("orders",
		config.Node{ID: 1, Name: "anna", Addrs: []string{"192.0.2.1"}},
		config.Node{ID: 2, Name: "bert", Addrs: []string{"192.0.2.2"}},
		config.Node{ID: 3, Name: "cora", Addrs: []string{"192.0.2.3"}, Votes: 2})
	token, source := c.TokenTimeout()
	fmt.Println(c.Quorum.ExpectedVotes, "votes; token", token, "-", source)
	fmt.Println(c.Validate().Err())
	// Output:
	// 4 votes; token 1.01s - default: 1000 ms and 10 ms for each node beyond two
	// <nil>
}

// An agent answers HTTP where nobody else can ask, or to holders of a
// certificate.
func ExampleHTTP_Check() {
	fmt.Println(config.HTTP{Listen: "127.0.0.1:5480"}.Check())
	fmt.Println(config.HTTP{Listen: "0.0.0.0:5480"}.Check() != nil)
	fmt.Println(config.HTTP{Listen: "0.0.0.0:5480", Cert: "agent.pem", Key: "agent.key", CA: "ca.pem"}.Check())
	// Output:
	// <nil>
	// true
	// <nil>
}

// Package node runs one member of a cluster inside a process: it assembles the
// record on disk, the sealed links, the ordering engine, the services and the
// doors for clients.
//
//	c := config.New("orders",
//		config.Node{ID: 1, Name: "anna", Addrs: []string{"192.0.2.1"}},
//		config.Node{ID: 2, Name: "bert", Addrs: []string{"192.0.2.2"}})
//	n, err := node.Start(ctx, node.Config{Cluster: c, Self: 1, Key: key, StateDir: "/var/lib/orders"})
//	if err != nil {
//		return err
//	}
//	defer n.Leave(context.Background())
//
// # Life
//
// Start returns when the member runs; it has no ring yet then. The member ends
// by Leave, by Halt, or by itself when it cannot go on: its disk failed, another
// node uses its id. Done is closed then and Err tells why.
//
// # Services of other people
//
// Config.Services are run beside the built-in ones, and [[service]] of a moot.toml
// names those that run in processes of their own. Programs open them by id or name,
// here and through package client alike; docs/tutorial-service.md builds one.
//
// # Concurrency
//
// Methods may be called by several goroutines. Each member has goroutines of its
// own; functions in Config are called on them and must not block.
//
// # Limits
//
// Several members may run in one process, with different addresses or ports and
// state directories of their own. The Corosync door is one per network
// namespace.
package node

// Package config reads what an operator wrote about a cluster into one Config.
//
// Two steps lead from a file to a running node:
//
//	c, problems := config.Load("/etc/corosync/corosync.conf")
//	err := c.Resolve(ctx, net.DefaultResolver)   // names to addresses
//	self, err := c.FindLocal(ctx, host)          // which of the nodes is this one
//
// # Problems
//
// A Problem says where it is (file, line and column), what is wrong and what to
// write. Errors keep a node from starting. Warnings do not, because a file that
// Corosync accepts must start it; a warning of an unknown name or provider is an
// error for Strict, which "moot config check" uses. Notes tell of keys that are taken and
// have no effect here.
//
// # Limits
//
// A file has at most MaxFile bytes, lines of at most 510, sections nested up to
// 16 deep. Nothing in a file makes the decoder panic.
//
// # Concurrency
//
// A Config is plain data. It may be read by many goroutines once nobody writes.
package config

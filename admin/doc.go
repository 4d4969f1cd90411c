// Package admin asks a running agent about itself and its cluster, and holds the
// documents it answers with.
//
//	agent := admin.New(config.DefaultRunDir)
//	st, err := agent.Status(ctx)
//	if err != nil {
//		return err
//	}
//	fmt.Println(st.Ring.ID, st.Quorum.Quorate)
//
// The same documents come as JSON from the agent's HTTP door, for programs in
// other languages; docs/json.md describes them. Fields are added over time, never
// renamed or given another meaning. Lists are never null.
//
// # Concurrency
//
// A Client may be used by several goroutines. A document belongs to whoever
// asked for it.
//
// # Limits
//
// An answer has at most MaxAnswer bytes. What an agent could not find out in
// time is missing in its answer, which says so.
package admin

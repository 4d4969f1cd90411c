package node

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/service/cfg"
	"github.com/moothall/moothall/service"
)

// Reload has all members read their configuration anew, as corosync-cfgtool -R
// does, and returns what changes on this one, and what is odd about its file but
// no error. All of them take what they have read, or none does; the error says
// who refused and why.
func (n *Node) Reload(ctx context.Context) (config.Changes, config.Problems, error) {
	var current *config.Config
	if err := n.do(ctx, func(*executive.Core) { current = n.keys.current }); err != nil {
		return nil, nil, err
	}
	own, err := n.reread(current) // the others are not bothered with a mistake here
	if err != nil {
		return nil, nil, err
	}
	c, err := n.Open(ctx, cfg.ID)
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	why, err := c.Call(ctx, cfg.CallReload, nil)
	switch {
	case err == nil:
		return own.changes, own.problems, nil
	case len(why) > 0:
		return nil, nil, refusedBy(string(why))
	case errors.Is(err, service.ErrBusyCode):
		return nil, nil, errors.New("another reload is under way: wait for it and try again")
	case errors.Is(err, service.ErrTimeout):
		return nil, nil, errors.New("nothing is changed anywhere: not all members said in time what they think of their file; their logs tell more")
	}
	return nil, nil, fmt.Errorf("nothing is changed anywhere: %w", err)
}

// RefusedError is what members said who refused a reload.
type RefusedError struct{ By []admin.Refusal }

// Error has one line for each.
func (e *RefusedError) Error() string {
	var lines []string
	for _, r := range e.By {
		lines = append(lines, "refused by "+r.Node+": "+r.Why)
	}
	return "nothing is changed anywhere: " + strings.Join(lines, "\n")
}

// refusedBy reads the lines of an answer to cfg.CallReload.
func refusedBy(lines string) *RefusedError {
	e := &RefusedError{}
	for line := range strings.SplitSeq(lines, "\n") {
		node, why, _ := strings.Cut(line, ": ")
		e.By = append(e.By, admin.Refusal{Node: node, Why: why})
	}
	return e
}

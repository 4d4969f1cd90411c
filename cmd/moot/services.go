package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
)

func newServicesCommand() *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use:   "services",
		Short: "List the services of the agent on this machine, and their processes",
		Long: `List the services that the agent on this machine runs: the built-in ones, and those
that [[service]] of its configuration names, which run in processes of their own.
The agent starts such a process again when it ends; how often that was, and how the
last one ended, is in the list.

EXIT STATUS
  0  the agent answered
  1  no agent answered, or its work does not go on
  2  wrong flag`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			services, err := ask(cmd.Context(), &a, (*admin.Client).Services)
			if err != nil {
				return err
			}
			if a.json {
				return writeJSON(cmd.OutOrStdout(), services)
			}
			return writeServices(newTable(cmd.OutOrStdout()), services)
		},
	}
	a.flags(cmd)
	return cmd
}

func writeServices(t *table, services admin.Services) error {
	serviceRows(t, services.Services, services.Time)
	above := false
	for _, s := range services.Services {
		if s.Process != nil {
			if !above {
				t.section()
				above = true
			}
			t.row(s.Name, processText(t, s.Process, services.Time))
		}
	}
	return t.flush()
}

// serviceRows lists services.
func serviceRows(t *table, services []admin.Service, now time.Time) {
	t.head("SERVICE", "ID", "ACTIVE", "EPOCH", "CLIENTS", "PROCESS", "RESTARTS")
	for _, s := range services {
		process, restarts := "", ""
		if p := s.Process; p != nil {
			process, restarts = p.State, fmt.Sprint(p.Restarts)
			if p.PID != 0 {
				process += fmt.Sprint(", ", p.PID)
			}
			if !fine(p, now) {
				process = t.paint(yellow, process)
			}
		}
		t.row(s.Name, fmt.Sprint(s.ID), yes(s.Active), fmt.Sprint(s.Epoch), fmt.Sprint(s.Clients), process, restarts)
	}
}

// settled is how long a process that was started again has to run to count as fine.
const settled = time.Minute

// fine reports whether nobody has to look at the process of a service.
func fine(p *admin.ServiceProcess, now time.Time) bool {
	return p.State == "running" && (p.Restarts == 0 || now.Sub(p.Since) >= settled)
}

// processText says how the process of a service does, and how the last one ended.
func processText(t *table, p *admin.ServiceProcess, now time.Time) string {
	since := age(now.Sub(p.Since))
	var text string
	switch {
	case p.State == "waiting":
		text = fmt.Sprintf("no process for %s; it is started again in %s", since, age(time.Duration(p.LeftMS)*time.Millisecond))
	case p.PID == 0:
		text = "not started yet"
	case p.State == "starting":
		text = fmt.Sprintf("process %d has not registered for %s", p.PID, since)
	default:
		text = fmt.Sprintf("process %d runs for %s", p.PID, since)
	}
	if p.Restarts > 0 {
		text += fmt.Sprintf("; it ended %s, last: %s", count(int(p.Restarts), "time"), p.LastExit)
		if p.Reason != "" {
			text += " (" + p.Reason + ")"
		}
	}
	if !fine(p, now) {
		text = t.paint(yellow, text)
	}
	return text
}

package main

import "github.com/spf13/cobra"

// newExitCodesTopic is a page of help and no command.
func newExitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "The exit statuses of all commands",
		Long: `The exit statuses of all commands; the help of each command tells which of them it
has. They do not change their meaning.

   0  done
   1  the command failed; the message says why and what to try
   2  wrong command, flag or argument
   3  not quorate (status --check), or nobody would be (whatif); the topic is there
      already (topic create), or there is none (topic delete)
   4  what was asked for is not there (gs, members, nodes, readmit, send, topic
      describe, topic listen, topic publish, whatif, why)
 130  interrupted, or nobody reads the output any more (play)

Those of an agent are Corosync's where it has one for the case:

   7  the logging section or --trace asks for something impossible
   8  bad configuration or key; a reload was refused
  15  it could not go on: port in use, disk failed, node id used twice
  16  the state directory or its record cannot be used
  17  the run directory cannot be used
  18  another agent runs with the same state or run directory
  20  a service or a door could not be started`,
	}
}

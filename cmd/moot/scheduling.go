package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/config"
)

// realTime is the real-time priority of an agent that asks for one: the lowest.
// It wins against all that is not real time, and leaves the kernel's threads and
// what an administrator placed above in front.
const realTime = 1

// Ends of the range of nice values.
const (
	highest = -20
	lowest  = 19
)

// schedule gives all threads of this process the scheduling that is configured,
// and says so. What is not permitted is no reason not to run.
func schedule(c config.System, log *slog.Logger) {
	if c.SchedRR == "yes" {
		err := ofAllThreads(&unix.SchedAttr{Policy: unix.SCHED_RR, Priority: realTime})
		if err == nil {
			log.Info("Scheduling is real-time, round robin", "priority", realTime)
			return
		}
		if nice := ofAllThreads(&unix.SchedAttr{Nice: highest}); nice != nil {
			log.Warn("No real-time scheduling, nor a higher priority: run as root, or with CAP_SYS_NICE, or set sched_rr: no in the system section", "err", err)
			return
		}
		log.Warn("No real-time scheduling: the agent runs with the highest priority besides", "nice", highest, "err", err)
		return
	}
	nice, asked := niceOf(c.Priority)
	if !asked {
		return
	}
	if err := ofAllThreads(&unix.SchedAttr{Nice: nice}); err != nil {
		log.Warn("The priority stays: to raise it run as root or with CAP_SYS_NICE", "wanted", c.Priority, "err", err)
		return
	}
	log.Info("Scheduling has another priority", "nice", nice)
}

// niceOf reads system.priority.
func niceOf(priority string) (nice int32, asked bool) {
	switch priority {
	case "":
		return 0, false
	case "max":
		return highest, true
	case "min":
		return lowest, true
	}
	n, err := strconv.Atoi(priority) // checked by package config
	return int32(n), err == nil
}

// ofAllThreads sets the scheduling of every thread of this process. The member
// has no thread of its own: whoever brings work does it. Threads that come later
// inherit from the one that makes them, so it looks until there is no new one.
func ofAllThreads(a *unix.SchedAttr) error {
	a.Size = unix.SizeofSchedAttr
	var done []int
	for {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("threads of this process: %w", err)
		}
		before := len(done)
		for _, e := range entries {
			tid, err := strconv.Atoi(e.Name())
			if err != nil || slices.Contains(done, tid) {
				continue
			}
			if err := unix.SchedSetAttr(tid, a, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return os.NewSyscallError("sched_setattr", err)
			}
			done = append(done, tid)
		}
		if len(done) == before {
			return nil
		}
	}
}

// lockMemory keeps the pages of this process in memory once they are used, as
// Corosync does: a member that waits for its own code or data to come back from
// a disk holds all others up. Only who may lock any amount does it, for a limit
// that is reached later would end the process.
func lockMemory() error {
	if !mayLockAll() {
		return errors.New("needs CAP_IPC_LOCK, or LimitMEMLOCK=infinity")
	}
	return os.NewSyscallError("mlockall", unix.Mlockall(unix.MCL_CURRENT|unix.MCL_FUTURE|unix.MCL_ONFAULT))
}

func mayLockAll() bool {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err == nil && limit.Cur == unix.RLIM_INFINITY {
		return true
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_IPC_LOCK) != 0
}

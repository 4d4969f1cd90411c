package capi_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/moothall/moothall/internal/testenv"
)

// The numbers of scenarios are those of cluster events 8. These are about calls of one
// program; each is played with and without
// sanitizers.

// calls plays scenarios of a program on the first of some agents.
func calls(t *testing.T, h *hall, library string, sources []string, names ...string) {
	t.Helper()
	for _, sanitizer := range []string{"", memory, races} {
		binary := eventProgram(t, sanitizer, library, sources...)
		for _, name := range names {
			t.Run(name+"/sanitizer "+sanitizer, func(t *testing.T) {
				h := *h
				h.t = t
				p, _ := h.client(1, binary, name[len("Scenario_"):])
				allRight(t, p)
			})
		}
	}
}

var (
	calls03 = []string{"testdata/calls03.c"}
	calls04 = []string{"testdata/calls04.c", "testdata/beside03.c"}
	calls02 = []string{"-DOC_EVENT_API=20", "testdata/calls02.c"}
)

func TestEvents03_Alone(t *testing.T) {
	for _, sanitizer := range []string{memory, races} {
		t.Run("Scenario_01/"+sanitizer, func(t *testing.T) {
			p, _ := agents(t, 1).client(1, eventProgram(t, sanitizer, "_oc_event", calls03...), "01")
			allRight(t, p)
		})
	}
}

func TestEvents03_Calls(t *testing.T) {
	calls(t, agents(t, 3), "_oc_event", calls03, "Scenario_07", "Scenario_14", "Scenario_15", "Scenario_16", "Scenario_17", "Scenario_18", "Scenario_22",
		"Scenario_fork", "Scenario_publish", "Scenario_threads", "Scenario_two", "Scenario_nested")
}

// Nobody is there, for no draft.
func TestEvents_NoAgent(t *testing.T) {
	for name, binary := range map[string]string{
		"14-nobody": eventProgram(t, memory, "_oc_event", calls03...),
		"33":        eventProgram(t, memory, "_oc_event", calls02...),
	} {
		t.Run("Scenario_"+name, func(t *testing.T) {
			cmd := exec.Command(binary, name)
			cmd.Env = append(os.Environ(), "MOOTHALL_RUN_DIR="+t.TempDir())
			allRight(t, testenv.Start(t, cmd))
		})
	}
}

// Who may not connect to the agent is refused, be it by the agent or by the modes of
// its directory.
func TestEvents03_Scenario_14_Refused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	h := agents(t, 1)
	binary := filepath.Join(h.Dir(), "program")
	run(t, exec.Command("cp", eventProgram(t, "", "_oc_event", calls03...), binary))
	lib := build(t, "")
	refused := func() {
		t.Helper()
		cmd := exec.Command(binary, "14-refused")
		cmd.Env = append(os.Environ(), "MOOTHALL_RUN_DIR="+h.Run(1))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		allRight(t, testenv.Start(t, cmd))
	}
	for _, dir := range []string{h.Dir(), h.Run(1), lib} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	refused()
	if err := os.Chmod(h.Run(1), 0o700); err != nil {
		t.Fatal(err)
	}
	refused()
}

func TestEvents04_Calls(t *testing.T) {
	h := agents(t, 3)
	h.topic(t, 0, "create", "t")
	calls(t, h, "_oc_event", calls04, "Scenario_23", "Scenario_24", "Scenario_26", "Scenario_27", "Scenario_28", "Scenario_one", "Scenario_30", "Scenario_31", "Scenario_41", "Scenario_nested")
	h.topic(t, 4, "describe", "nobody made this")
}

// topic runs moot topic on the first node.
func (h *hall) topic(t testing.TB, status int, args ...string) {
	t.Helper()
	cmd := h.Command(1, testenv.Binary(t), append([]string{"topic"}, args...)...)
	cmd.Env = append(os.Environ(), "MOOTHALL_RUN_DIR="+h.Run(1))
	if out, err := cmd.CombinedOutput(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != status {
		t.Fatalf("moot topic %q: want exit status %d, %v\n%s", args, status, err, out)
	}
}

// Draft 0.2 is in the library of all drafts, and in the one that had it alone.
func TestEvents02_Calls(t *testing.T) {
	h := agents(t, 3)
	t.Run("drafts", func(t *testing.T) {
		calls(t, h, "_oc_event", calls02, "Scenario_34", "Scenario_39", "Scenario_nested")
	})
	t.Run("shipped", func(t *testing.T) {
		calls(t, h, "ccmclient", []string{"-Iinclude/ccm", "testdata/calls02.c"}, "Scenario_34", "Scenario_39", "Scenario_nested")
	})
}

// An object says which draft its functions are of, whatever the library's default is.
func TestEvents02_Scenario_42_Symbols(t *testing.T) {
	compiler(t)
	object := filepath.Join(t.TempDir(), "calls02.o")
	run(t, exec.Command("cc", "-std=c11", "-DOC_EVENT_API=20", "-Iinclude", "-Itestdata", "-c", "-o", object, "testdata/calls02.c"))
	wants := run(t, exec.Command("nm", "--undefined-only", "--format=just-symbols", object))
	for _, name := range []string{"register", "unregister", "handle_event", "is_my_nodeid"} {
		if !containsLine(wants, "oc_ev_"+name+"_v02") || containsLine(wants, "oc_ev_"+name) {
			t.Errorf("%s: the object wants %s", name, wants)
		}
	}
	p, _ := agents(t, 3).client(1, eventProgram(t, memory, "_oc_event", object), "34")
	allRight(t, p)
}

// Threads that are cancelled leave a library that others can use; the race detector
// is not asked, as in TestThreadsAreCancelled.
func TestEventsThreadsAreCancelled(t *testing.T) {
	for _, sanitizer := range []string{"", memory} {
		t.Run("sanitizer "+sanitizer, func(t *testing.T) {
			p, _ := agents(t, 1).client(1, eventProgram(t, sanitizer, "_oc_event", "testdata/cancel03.c"))
			allRight(t, p)
		})
	}
}

// Wherever memory lacks, calls say so or a connection ends; nothing is lost.
func TestEventsMemoryLacks(t *testing.T) {
	binary := eventProgram(t, memory, "", "testdata/memory03.c", "testdata/victim02.c", filepath.Join(build(t, memory), "lib_oc_event.a"),
		"-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc")
	p, _ := agents(t, 1).client(1, binary)
	allRight(t, p)
}

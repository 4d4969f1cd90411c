package capi_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/moothall/moothall/internal/testenv"
)

// eventProgram compiles a program and links it with a library of cluster events.
func eventProgram(t testing.TB, sanitizer, library string, sources ...string) string {
	t.Helper()
	dir := build(t, sanitizer)
	binary := filepath.Join(t.TempDir(), "program")
	args := []string{"-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-g", "-O1", "-pthread", "-Iinclude", "-Itestdata", "-o", binary}
	if sanitizer != "" {
		args = append(args, "-fsanitize="+sanitizer, "-fno-omit-frame-pointer")
	}
	run(t, exec.Command("cc", append(append(args, sources...), "-L", dir, "-l"+library, "-Wl,-rpath,"+dir)...))
	return binary
}

func say(t *testing.T, w io.Writer, line string) {
	t.Helper()
	if _, err := io.WriteString(w, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// Draft 0.3, call by call (cluster events 8.1, 7, 14 to 19, 22).
func TestEvents03_Calls(t *testing.T) {
	for _, sanitizer := range []string{memory, races} {
		t.Run(sanitizer, func(t *testing.T) {
			binary := eventProgram(t, sanitizer, "_oc_event", "testdata/ocf03.c")
			p, _ := agents(t, 1).client(1, binary)
			allRight(t, p)
			cmd := exec.Command(binary, "alone")
			cmd.Env = append(os.Environ(), "MOOTHALL_RUN_DIR="+t.TempDir())
			if out := run(t, cmd); out != "all right\n" {
				t.Error(out)
			}
		})
	}
}

// linesFrom are those of a program's output from the one that begins so on.
func linesFrom(t *testing.T, p *testenv.Process, begin string) string {
	t.Helper()
	i := strings.Index("\n"+p.Output(), "\n"+begin)
	if i < 0 {
		t.Fatalf("no line %q", begin)
	}
	return p.Output()[i:]
}

// Three nodes see one membership go on (cluster events 8.2 to 8.6, 21).
func TestEvents03_Membership(t *testing.T) {
	binary := eventProgram(t, memory, "_oc_event", "testdata/ocf03.c")
	h := agents(t, 3)
	a, _ := h.client(1, binary, "watch", "__OC_EV_MEMB_CLASS")
	b, _ := h.client(2, binary, "watch", "__OC_EV_MEMB_CLASS")
	held, hold := h.client(1, binary, "hold", "__OC_EV_MEMB_CLASS")
	for _, p := range []*testenv.Process{a, b, held} {
		p.WaitOutput(patience, "NM ")
		p.WaitOutput(patience, "3@")
	}
	h.agents[2].Signal(syscall.SIGTERM)
	a.WaitOutput(patience, " - 3@")
	b.WaitOutput(patience, " - 3@")
	for !strings.Contains(held.Output(), " - 3@") { // its first record may be older
		say(t, hold, "done")
		held.WaitOutput(patience, " - 3@")
	}
	h.agents[2].Wait(patience)
	h.start(3)
	h.formed(3)
	say(t, hold, "try")
	held.WaitOutput(patience, "held back")
	say(t, hold, "done")

	// Without the third node, and with it, born anew and so the last one.
	var seq, born int
	lost := a.Output()[:strings.Index(a.Output(), " - 3@")]
	if _, err := fmt.Sscanf(lost[strings.LastIndex(lost, "NM"):], "NM %d 1@%d", &seq, &born); err != nil {
		t.Fatal(err)
	}
	back := fmt.Sprintf("NM %d 1@%d,2@%d,3@%d 3@%[4]d -\n", seq+1, born, born, seq+1)
	want := fmt.Sprintf("NM %d 1@%d,2@%d - 3@%d\n%s", seq, born, born, born, back)
	for _, p := range []*testenv.Process{a, b, held} {
		p.WaitOutput(patience, back)
		if got := strings.ReplaceAll(linesFrom(t, p, fmt.Sprintf("NM %d ", seq)), "held back\n", ""); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}

	// A node that is left alone can not know who goes on.
	h.agents[2].Signal(syscall.SIGTERM)
	last := fmt.Sprintf(" %d 1@%d,2@%d - 3@%d\n", seq+2, born, born, seq+1)
	a.WaitOutput(patience, "NM"+last)
	b.WaitOutput(patience, "NM"+last)
	h.agents[1].Signal(syscall.SIGTERM)
	b.WaitOutput(patience, "NM"+last+"EVICTED\nshut down\n")
	a.WaitOutput(patience, "NM"+last+"NOT_PRIMARY"+last)
	h.agents[0].Signal(os.Kill)
	a.WaitOutput(patience, "NOT_PRIMARY"+last+"shut down\n")
}

// What is cast to a group, and who comes, has one order (cluster events 8.20).
func TestEvents03_Group(t *testing.T) {
	binary := eventProgram(t, memory, "_oc_event", "testdata/ocf03.c")
	h := agents(t, 3)
	a, _ := h.client(1, binary, "watch", "g")
	a.WaitOutput(patience, "JOIN 1 \n")
	b, in := h.client(2, binary, "watch", "g")
	b.WaitOutput(patience, "JOIN 2 \n")
	for i := range 3 {
		say(t, in, fmt.Sprint("0 cast ", i))
		if i == 0 {
			c, _ := h.client(3, binary, "watch", "g")
			c.WaitOutput(patience, "JOIN 3 \n")
			defer c.Signal(os.Kill)
		}
	}
	say(t, in, "7 answer")
	a.WaitOutput(patience, "REPLY 2 to 7  answer\n")
	b.WaitOutput(patience, "REPLY 2 to 7  answer\n")
	if got, want := linesFrom(t, a, "JOIN 2"), linesFrom(t, b, "JOIN 2"); got != want || strings.Count(got, "CAST 2  cast") != 3 || strings.Count(got, "JOIN 3") != 1 {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	in.Close()
	a.WaitOutput(patience, "LEAVE 2 \n")
}

// Draft 0.4, beside draft 0.3 in one program (cluster events 8.23 to 8.31, 8.41).
func TestEvents04(t *testing.T) {
	for _, sanitizer := range []string{memory, races} {
		t.Run(sanitizer, func(t *testing.T) {
			binary := eventProgram(t, sanitizer, "_oc_event", "testdata/ocf04.c", "testdata/ocf34.c")
			h := agents(t, 1)
			p, _ := h.client(1, binary)
			allRight(t, p)
			p, _ = h.client(1, binary, "wait")
			p.WaitOutput(patience, "waiting\n")
			h.agents[0].Signal(os.Kill)
			allRight(t, p)
		})
	}
}

// Programs include the headers whatever dialect they are written in, and one draft
// in one file.
func TestEventHeaders(t *testing.T) {
	compiler(t)
	check := func(command, body string, args ...string) error {
		cmd := exec.Command(command, append(args, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-")...)
		cmd.Stdin = strings.NewReader(body + "#include <ocf/oc_event.h>\n#include <ocf/oc_event_pub.h>\n#include <ocf/oc_event.h>\n")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	}
	_, noCXX := exec.LookPath("c++")
	for _, api := range []string{"", "#define OC_EVENT_API 20\n", "#define OC_EVENT_API 30\n", "#define OC_EVENT_API 40\n", "#define OC_EVENT_API 34\n"} {
		for _, dialect := range []string{"gnu89", "c99", "c11", "gnu17"} {
			if err := check("cc", api, "-std="+dialect, "-Iinclude", "-x", "c"); err != nil {
				t.Errorf("%q in %s: %v", api, dialect, err)
			}
		}
		if noCXX == nil {
			if err := check("c++", api, "-Iinclude", "-x", "c++"); err != nil {
				t.Errorf("%q in C++: %v", api, err)
			}
		}
	}
	for _, wrong := range []string{"#define OC_EVENT_API 24\n", "#include <ocf/oc_event.h>\n#undef OC_EVENT_API\n#define OC_EVENT_API 40\n"} {
		if check("cc", wrong, "-Iinclude", "-x", "c") == nil {
			t.Errorf("%q compiles", wrong)
		}
	}
	if err := check("cc", "", "-Iinclude/ccm", "-Iinclude", "-x", "c"); err != nil {
		t.Errorf("as libccmclient had it: %v", err)
	}
}

// Draft 0.2, from the library of all drafts and from the one that had it alone
// (cluster events 8.33 to 8.40, 8.42).
func TestEvents02(t *testing.T) {
	drafts := eventProgram(t, memory, "_oc_event", "testdata/ocf02.c")
	shipped := eventProgram(t, memory, "ccmclient", "-DOC_EV_BARE_NAMES", "testdata/ocf02.c")
	h := agents(t, 3)
	var plain, special []*testenv.Process
	for _, binary := range []string{drafts, shipped} {
		cmd := exec.Command(binary, "alone")
		cmd.Env = append(os.Environ(), "MOOTHALL_RUN_DIR="+t.TempDir())
		if out := run(t, cmd); out != "all right\n" {
			t.Error(out)
		}
		p, _ := h.client(1, binary)
		s, _ := h.client(1, binary, "special")
		plain, special = append(plain, p), append(special, s)
	}
	all := append(plain[:2:2], special...)
	for _, p := range all {
		p.WaitOutput(patience, "NM 1,2,3 ")
	}
	h.agents[2].Signal(syscall.SIGTERM)
	for _, p := range all {
		p.WaitOutput(patience, "NM 1,2 ")
	}
	h.agents[1].Signal(syscall.SIGTERM)
	for _, p := range plain {
		p.WaitOutput(patience, "NOT_PRIMARY 1,2")
	}
	for _, p := range special {
		p.WaitOutput(patience, "INVALID 1 - 2")
	}
	h.agents[1].Wait(patience)
	h.agents[2].Wait(patience)
	h.start(2)
	for _, p := range all {
		p.WaitOutput(patience, "NM 1,2 2 ")
	}
	h.agents[0].Signal(os.Kill)
	for _, p := range all {
		p.WaitOutput(patience, "gone\n")
		allRight(t, p)
		if strings.Contains(p.Output(), "NOT_PRIMARY") == strings.Contains(p.Output(), "INVALID") {
			t.Error("told both, or neither")
		}
	}
}

// The libraries show programs their functions and nothing else: those of draft 0.2 by
// bare names, or those of all drafts, where 0.3 is what a bare name means.
func TestEventLibrariesShowTheirFunctionsOnly(t *testing.T) {
	dir := build(t, "")
	shown := func(library string) string {
		cmd := exec.Command("nm", "-D", "--defined-only", "--format=just-symbols", library)
		cmd.Dir = dir
		return run(t, cmd)
	}
	const bare = "oc_ev_activate\noc_ev_callback_done\noc_ev_handle_event\noc_ev_is_my_nodeid\noc_ev_register\noc_ev_set_callback\noc_ev_special\noc_ev_unregister\n"
	if got := shown("libccmclient.so"); got != bare {
		t.Errorf("libccmclient: %s", got)
	}
	got := shown("lib_oc_event.so")
	for _, want := range []string{
		"oc_ev_register@OCF_EVENT_0.2", "oc_ev_register_v02@@OCF_EVENT_0.2", "oc_ev_register@@OCF_EVENT_0.3", "oc_ev_register_v03@@OCF_EVENT_0.3",
		"oc_ev_event_done@@OCF_EVENT_0.3", "oc_ev_special@@OCF_EVENT_0.2", "oc_ev_get_version@@OCF_EVENT_0.3", "oc_ev_get_version@OCF_EVENT_0.4", "oc_ev_subscribe@@OCF_EVENT_0.4", "oc_ev_publish@@OCF_EVENT_PUB_1",
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("lib_oc_event lacks %s", want)
		}
	}
	for line := range strings.Lines(got) {
		if !strings.HasPrefix(line, "oc_ev_") && !strings.HasPrefix(line, "OCF_EVENT_") {
			t.Errorf("lib_oc_event shows %s", line)
		}
	}
}

// Each function has a page, and the overview names it.
func TestEventFunctionsHaveManualPages(t *testing.T) {
	overview, err := os.ReadFile("man/oc_event.7")
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{"oc_event_02.h", "oc_event_03.h", "oc_event_04.h", "oc_event_pub.h"} {
		b, err := os.ReadFile(filepath.Join("include/ocf", header))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^(?:int|void|oc_ev_event_t) \*?(oc_ev_\w+)\(`).FindAllStringSubmatch(string(b), -1) {
			page, err := os.ReadFile("man/" + m[1] + ".3")
			if err != nil || !strings.Contains(string(page), ".SH NAME\n"+m[1]+" ") || !strings.Contains(string(overview), m[1]) {
				t.Errorf("no page of %s: %v", m[1], err)
			}
		}
	}
}

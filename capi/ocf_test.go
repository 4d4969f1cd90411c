package capi_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// eventProgram compiles a program and links it with a library of cluster events, if
// there is one.
func eventProgram(t testing.TB, sanitizer, library string, sources ...string) string {
	t.Helper()
	dir := build(t, sanitizer)
	binary := filepath.Join(t.TempDir(), "program")
	args := []string{"-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-g", "-O1", "-pthread", "-Itestdata", "-o", binary}
	if sanitizer != "" {
		args = append(args, "-fsanitize="+sanitizer, "-fno-omit-frame-pointer")
	}
	args = append(append(args, sources...), "-Iinclude")
	if library != "" {
		args = append(args, "-L", dir, "-l"+library, "-Wl,-rpath,"+dir)
	}
	run(t, exec.Command("cc", args...))
	return binary
}

func containsLine(text, line string) bool { return strings.Contains("\n"+text, "\n"+line+"\n") }

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

package capi_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// aisServices are the services of the AIS in C, by the name of their header.
var aisServices = []string{"saClm", "saEvt"}

// aisLibrary is the name of the library of a service.
func aisLibrary(service string) string { return "Sa" + strings.TrimPrefix(service, "sa") }

// aisFunctions are those of a header.
func aisFunctions(t *testing.T, service string) (list []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("include", service+".h"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^SaAisErrorT (\w+)\(`).FindAllStringSubmatch(string(b), -1) {
		list = append(list, m[1])
	}
	slices.Sort(list)
	if len(list) < 9 {
		t.Fatalf("functions of %s: %q", service, list)
	}
	return list
}

// The libraries show programs the functions of their header and nothing else, with the
// version of the interface that they came with; and they stay when they are closed.
func TestAisLibrariesShowTheirFunctionsOnly(t *testing.T) {
	dir := build(t, "")
	for _, service := range aisServices {
		library := aisLibrary(service)
		for _, args := range [][]string{{"-D", "--defined-only", "lib" + library + ".so"}, {"-g", "--defined-only", "lib" + library + ".a"}} {
			cmd := exec.Command("nm", args...)
			cmd.Dir = dir
			out := run(t, cmd)
			var shown []string
			for _, m := range regexp.MustCompile(`(?m) [A-Z] (\w+)(@@\S+)?$`).FindAllStringSubmatch(out, -1) {
				shown = append(shown, m[1])
				if args[0] == "-D" && !strings.HasPrefix(m[2], "@@SA_"+strings.ToUpper(library[2:])+"_B.0") {
					t.Errorf("%s has the version %q", m[1], m[2])
				}
			}
			slices.Sort(shown)
			if !slices.Equal(shown, aisFunctions(t, service)) {
				t.Errorf("%s: %q", args[len(args)-1], shown)
			}
		}
		about := run(t, exec.Command("readelf", "-d", filepath.Join(dir, "lib"+library+".so")))
		if !strings.Contains(about, "NODELETE") || !strings.Contains(about, "soname: [lib"+library+".so.1]") {
			t.Error(about)
		}
	}
}

// Programs include the headers whatever dialect they are written in, and find the
// numbers and layouts that other implementations have.
func TestAisHeaders(t *testing.T) {
	compiler(t)
	const layout = `
#define SAME(name, what, n) typedef char name[(what) == (n) ? 1 : -1]
SAME(a, sizeof(SaNameT), 258);
SAME(b, sizeof(SaVersionT), 3);
SAME(c, sizeof(SaTimeT), 8);
SAME(d, sizeof(SaSelectionObjectT), 8);
SAME(e, sizeof(SaLimitValueT), 8);
SAME(f, sizeof(SaBoolT), 4);
SAME(g, SA_AIS_ERR_NO_SECTIONS, 27);
SAME(h, SA_AIS_ERR_UNAVAILABLE, 31);
SAME(i, SA_TIME_ONE_DAY == 86400000000000LL, 1);
SAME(j, SA_TIME_UNKNOWN < 0 && SA_TIME_END > 0, 1);
SAME(k, SA_DISPATCH_BLOCKING, 3);
`
	const members = `
#include <stddef.h>
SAME(l, sizeof(SaClmNodeAddressT), 72);
SAME(m, offsetof(SaClmClusterNodeT, nodeName), 76);
SAME(n, offsetof(SaClmClusterNodeT, member), 336);
SAME(o, offsetof(SaClmClusterNodeT, bootTimestamp), 344);
SAME(p, sizeof(SaClmClusterNotificationT), 368);
SAME(q, offsetof(SaClmClusterNotificationBufferT, notification), 16);
`
	check := func(command, body string, args ...string) {
		cmd := exec.Command(command, append(args, "-Wall", "-Wextra", "-Werror", "-Iinclude", "-fsyntax-only", "-")...)
		cmd.Stdin = strings.NewReader(body)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
		}
	}
	for _, body := range []string{"#include <saAis.h>\n" + layout, "#include <saClm.h>\n#include <saEvt.h>\n#include <saClm.h>\n" + layout + members} {
		for _, dialect := range []string{"gnu89", "c99", "c11", "gnu17"} {
			check("cc", strings.ReplaceAll(body, "LL", ""), "-std="+dialect, "-Wpedantic", "-x", "c")
		}
		if _, err := exec.LookPath("c++"); err == nil {
			check("c++", body, "-x", "c++")
		}
	}
}

// What is installed is found with pkg-config files, shared and static, and what is
// uninstalled is gone.
func TestInstalledEventLibrariesLink(t *testing.T) {
	dir := build(t, "")
	root := t.TempDir()
	place := []string{"-s", "OUT=" + dir, "DESTDIR=" + root, "PREFIX=/opt/ha"}
	run(t, exec.Command("make", append(place, "install")...))
	base := filepath.Join(root, "opt/ha")
	lib := filepath.Join(base, "lib")
	for _, l := range []struct{ pc, library, source string }{
		{"SaClm", "SaClm", "#include <saClm.h>\nint main(void) { SaVersionT v = { 'B', 1, 1 }; SaClmHandleT h; return saClmInitialize(&h, 0, &v) != SA_AIS_ERR_TRY_AGAIN; }\n"},
		{"SaEvt", "SaEvt", "#include <saEvt.h>\nint main(void) { SaVersionT v = { 'B', 1, 1 }; SaEvtHandleT h; return saEvtInitialize(&h, 0, &v) != SA_AIS_ERR_TRY_AGAIN; }\n"},
		{"oc_event", "_oc_event", "#include <ocf/oc_event.h>\nint main(void) { return oc_ev_register(\"g\", 0) >= 0; }\n"},
		{"oc_event", "_oc_event", "#define OC_EVENT_API 20\n#include <ocf/oc_event.h>\nint main(void) { oc_ev_t *t; return oc_ev_register(&t) != 0; }\n"},
	} {
		pc, err := os.ReadFile(filepath.Join(lib, "pkgconfig", l.pc+".pc"))
		if err != nil || !strings.Contains(string(pc), "\nName: "+l.pc+"\n") || !strings.Contains(string(pc), " -l"+l.library+"\n") || !strings.Contains(string(pc), "prefix=/opt/ha\n") {
			t.Errorf("%s, %v", pc, err)
		}
		for how, link := range map[string]string{"shared": "-l" + l.library, "static": filepath.Join(lib, "lib"+l.library+".a")} {
			binary := filepath.Join(t.TempDir(), "program")
			cmd := exec.Command("cc", "-Wall", "-Werror", "-o", binary, "-x", "c", "-", "-x", "none", "-I", filepath.Join(base, "include"), "-L", lib, link, "-pthread")
			cmd.Stdin = strings.NewReader(l.source)
			run(t, cmd)
			cmd = exec.Command(binary)
			cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+lib, "MOOTHALL_SOCKET=/nowhere")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s %s: %v\n%s", how, l.library, err, out)
			}
		}
	}
	pc, err := os.ReadFile(filepath.Join(lib, "pkgconfig/ccmclient.pc"))
	if err != nil || !strings.Contains(string(pc), " -lccmclient\n") || !strings.Contains(string(pc), "\nCflags: -I${includedir}/ccm -I${includedir}\n") {
		t.Errorf("ccmclient: %s, %v", pc, err)
	}
	if _, err := os.Stat(filepath.Join(base, "share/man/man7/saAis.7")); err != nil {
		t.Error(err)
	}
	run(t, exec.Command("make", append(place, "uninstall")...))
	var left []string
	if err := filepath.WalkDir(base, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, path)
		}
		return err
	}); err != nil || len(left) > 0 {
		t.Error(fmt.Sprint("left: ", left), err)
	}
}

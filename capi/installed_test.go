package capi_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// functions are those of the header.
func functions(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("include/ha_gs.h")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, m := range regexp.MustCompile(`(?m)^(?:ha_gs_rc_t|void) +(ha_gs_\w+)\(`).FindAllStringSubmatch(string(b), -1) {
		list = append(list, m[1])
	}
	slices.Sort(list)
	if len(list) != 18 {
		t.Fatalf("%d functions: %q", len(list), list)
	}
	return list
}

// havePages fails the test unless each function has a page that names it and the arguments
// of its prototype, and the overview names each function.
func havePages(t *testing.T, name string, functions []string) {
	t.Helper()
	header, err := os.ReadFile(filepath.Join("include", name+".h"))
	if err != nil {
		t.Fatal(err)
	}
	overview, err := os.ReadFile(filepath.Join("man", name+".7"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range functions {
		page, err := os.ReadFile(filepath.Join("man", f+".3"))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, want := range []string{".SH NAME\n" + f + " ", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH RETURN VALUE", ".SH SEE ALSO"} {
			if !strings.Contains(string(page), want) {
				t.Errorf("the page of %s lacks %q", f, want)
			}
		}
		arguments := regexp.MustCompile(`(?s)\b` + f + `\((.*?)\);`).FindSubmatch(header)
		for _, name := range regexp.MustCompile(`(\w+)(?:,|$)`).FindAllStringSubmatch(string(arguments[1]), -1) {
			if !strings.Contains(string(page), name[1]) {
				t.Errorf("the page of %s lacks its argument %s", f, name[1])
			}
		}
		if !strings.Contains(string(overview), f) {
			t.Errorf("the overview lacks %s", f)
		}
	}
}

func TestFunctionsHaveManualPages(t *testing.T) { havePages(t, "ha_gs", functions(t)) }

// The libraries show programs the functions of the header and nothing else.
func TestLibrariesShowTheirFunctionsOnly(t *testing.T) {
	dir := build(t, "")
	for _, args := range [][]string{{"-D", "--defined-only", "libha_gs.so"}, {"-D", "--defined-only", "libha_gs_r.so"}, {"-g", "--defined-only", "libha_gs.a"}, {"-g", "--defined-only", "libha_gs_r.a"}} {
		cmd := exec.Command("nm", args...)
		cmd.Dir = dir
		var shown []string
		for _, m := range regexp.MustCompile(`(?m) [A-Z] (\w+)(?:@@\w+)?$`).FindAllStringSubmatch(run(t, cmd), -1) {
			if m[1] != "HA_GS_1" { // the version itself
				shown = append(shown, m[1])
			}
		}
		slices.Sort(shown)
		if !slices.Equal(shown, functions(t)) {
			t.Errorf("%s: %q", args[len(args)-1], shown)
		}
	}
}

// A thread of the library may still run when a program closes it, so its code stays.
func TestSharedLibrariesStay(t *testing.T) {
	dir := build(t, "")
	for _, name := range []string{"libha_gs.so", "libha_gs_r.so"} {
		if !strings.Contains(run(t, exec.Command("readelf", "-d", filepath.Join(dir, name))), "NODELETE") {
			t.Errorf("dlclose removes %s", name)
		}
	}
}

// Programs include the header whatever dialect they are written in.
func TestHeaderCompilesAnywhere(t *testing.T) {
	compiler(t)
	source := filepath.Join(t.TempDir(), "program.c")
	if err := os.WriteFile(source, []byte("#include <ha_gs.h>\n#include <ha_gs.h>\nint main(void) { ha_gs_quit(); return 0; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dialect := range []string{"gnu89", "gnu99", "c11", "gnu17"} {
		run(t, exec.Command("cc", "-std="+dialect, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iinclude", "-fsyntax-only", source))
	}
	if _, err := exec.LookPath("c++"); err != nil {
		t.Log("no c++ to include the header with")
		return
	}
	run(t, exec.Command("c++", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iinclude", "-fsyntax-only", "-x", "c++", source))
}

// Programs in C++ link with the library, and catch their own exceptions.
func TestProgramInCxx(t *testing.T) {
	lib := filepath.Join(build(t, ""), "libha_gs.a")
	if _, err := exec.LookPath("c++"); err != nil {
		t.Skip("no c++")
	}
	source := filepath.Join(t.TempDir(), "program.cc")
	if err := os.WriteFile(source, []byte(`#include <ha_gs.h>
static void on_delayed_error(const ha_gs_delayed_error_notification_t *) {}
int main()
{
    ha_gs_descriptor_t fd;
    ha_gs_provider_t p = {};
    p.gs_instance_number = 1;
    if (p.gs_provider_id == 0)
        return 1;
    try {
        throw ha_gs_init(&fd, HA_GS_SOCKET_NO_SIGNAL, 0, 0, 0, on_delayed_error, 0);
    } catch (ha_gs_rc_t rc) {
        return rc != HA_GS_CONNECT_FAILED;
    }
}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "program")
	run(t, exec.Command("c++", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iinclude", "-o", binary, source, lib, "-pthread"))
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), "MOOTHALL_SOCKET=/nowhere")
	run(t, cmd)
}

// What is installed is found by a compiler, by each name, shared and static.
func TestInstalledLibrariesLink(t *testing.T) {
	dir := build(t, "")
	root := t.TempDir()
	run(t, exec.Command("make", "-s", "install", "OUT="+dir, "DESTDIR="+root, "PREFIX=/opt/gs"))
	lib := filepath.Join(root, "opt/gs/lib")
	for _, name := range []string{"ha_gs", "ha_gs_r"} {
		pc, err := os.ReadFile(filepath.Join(lib, "pkgconfig", name+".pc"))
		if err != nil || !strings.Contains(string(pc), " -l"+name+"\n") || !strings.Contains(string(pc), "prefix=/opt/gs\n") {
			t.Errorf("%s, %v", pc, err)
		}
		for how, link := range map[string]string{"shared": "-l" + name, "static": filepath.Join(lib, "lib"+name+".a")} {
			binary := filepath.Join(t.TempDir(), "leader")
			run(t, exec.Command("cc", "-o", binary, "../examples/gsleader-c/leader.c", "-I", filepath.Join(root, "opt/gs/include"), "-L", lib, link, "-pthread"))
			cmd := exec.Command(binary, "g", "1")
			cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+lib, "MOOTHALL_SOCKET=/nowhere")
			if out, err := cmd.CombinedOutput(); err == nil || string(out) != "leader: no Group Services: code 19 (no agent runs here, or it refuses this user or domain)\n" {
				t.Errorf("%s %s: %v\n%s", how, name, err, out)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(root, "opt/gs/share/man/man3/ha_gs_init.3")); err != nil {
		t.Error(err)
	}
}

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moothall/moothall/internal/testenv"
)

// TestScripts runs the command line as its users do, see testdata/script.
func TestScripts(t *testing.T) {
	binary := testenv.Binary(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+e.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": cmdStatus, "size": cmdSize, "mode": cmdMode, "link": cmdLink},
	})
}

// cmdStatus checks an exit status: status 8 moot config check file.
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE COMMAND...")
	}
	cmd := exec.Command(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[1]), args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"))
	out, _ := cmd.CombinedOutput()
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("exit status %s, want %s\n%s", got, args[0], out)
	}
}

// cmdSize checks the size of a file in bytes.
func cmdSize(ts *testscript.TestScript, _ bool, args []string) {
	checkStat(ts, args, func(i os.FileInfo) string { return fmt.Sprint(i.Size()) })
}

// cmdMode checks the permissions of a file.
func cmdMode(ts *testscript.TestScript, _ bool, args []string) {
	checkStat(ts, args, func(i os.FileInfo) string { return fmt.Sprintf("%04o", i.Mode().Perm()) })
}

func checkStat(ts *testscript.TestScript, args []string, of func(os.FileInfo) string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := of(info); got != args[0] {
		ts.Fatalf("%s has %s, want %s", args[1], got, args[0])
	}
}

// cmdLink makes a symbolic link to the moot command.
func cmdLink(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.Symlink(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "moot"), ts.MkAbs(args[0])))
}

// Command runtests runs the tests of the whole module for make test.
//
// Packages that work with goroutines, sockets or files run with the race
// detector, the sequential ones (cores, codecs, services, simulator) without:
// there it finds nothing and costs a multiple. Package lines appear as packages
// finish, the output of what failed in full, and at the end every test that was
// left out with its reason and a closing line with the counts:
//
//	412 passed, 0 failed, 3 skipped
//
// A test with subtests counts through them. Arguments are handed on to go test,
// for instance -short. The exit status is 1 if anything failed.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const module = "github.com/moothall/moothall/"

// sequential are packages without goroutines, with all below them.
var sequential = []string{
	"config", "internal/bug", "internal/proto", "internal/resync", "internal/seal", "internal/service", "internal/sim",
	"internal/totem", "internal/vote", "internal/walls", "internal/wire", "service", "tools",
}

func main() {
	start := time.Now()
	failed, err := run(os.Stdout, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "runtests:", err)
		os.Exit(1)
	}
	fmt.Printf("(%v)\n", time.Since(start).Round(time.Second))
	if failed {
		os.Exit(1)
	}
}

// run runs both groups, prints the report to w and says whether anything failed.
func run(w io.Writer, args []string) (failed bool, err error) {
	pkgs, err := list()
	if err != nil {
		return false, err
	}
	r := newReport(w)
	plain, concurrent := split(pkgs)
	if err := test(r, plain, args); err != nil {
		return false, err
	}
	if why := noRace(); why != "" {
		fmt.Fprintf(w, "without the race detector: %s\n", why)
	} else {
		args = append([]string{"-race"}, args...)
	}
	if err := test(r, concurrent, args); err != nil {
		return false, err
	}
	r.close()
	return r.failed > 0, nil
}

// list names the packages of the module that have tests.
func list() ([]string, error) {
	const withTests = `{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}`
	out, err := exec.Command("go", "list", "-f", withTests, "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderrOf(err))
	}
	return strings.Fields(string(out)), nil
}

func stderrOf(err error) []byte {
	if exit, ok := err.(*exec.ExitError); ok {
		return bytes.TrimSpace(exit.Stderr)
	}
	return nil
}

// split divides packages into sequential and concurrent ones.
func split(pkgs []string) (plain, concurrent []string) {
	for _, pkg := range pkgs {
		dir := strings.TrimPrefix(pkg, module)
		if slices.ContainsFunc(sequential, func(s string) bool { return dir == s || strings.HasPrefix(dir, s+"/") }) {
			plain = append(plain, pkg)
		} else {
			concurrent = append(concurrent, pkg)
		}
	}
	return plain, concurrent
}

// noRace says why the race detector cannot be used here, or nothing.
func noRace() string {
	out, err := exec.Command("go", "env", "CGO_ENABLED", "CC").Output()
	if err != nil {
		return "go env does not answer"
	}
	cgo, cc, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if cgo != "1" {
		return "it needs cgo, and CGO_ENABLED is " + cgo
	}
	compiler, _, _ := strings.Cut(cc, " ")
	if _, err := exec.LookPath(compiler); err != nil {
		return "it needs a C compiler, and " + compiler + " is not installed"
	}
	return ""
}

// test runs go test over pkgs and feeds the report. Failing tests are no error.
func test(r *report, pkgs, args []string) error {
	if len(pkgs) == 0 {
		return nil
	}
	cmd := exec.Command("go", slices.Concat([]string{"test", "-json", "-shuffle=on", "-timeout=12m"}, args, pkgs)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go test: %w", err)
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read from go test: %w", err)
		}
	}
	err = cmd.Wait()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		return fmt.Errorf("go test: %w", err)
	}
	r.finish(err != nil)
	return nil
}

package manpages_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/tools/manpages"
)

func TestPages(t *testing.T) {
	root := &cobra.Command{Use: "tool", Short: "A tool", Long: "First\nline.\n\n.Second paragraph\n\n  kept -as it is\n\nEXIT STATUS\n  0  done", Run: func(*cobra.Command, []string) {}}
	sub := &cobra.Command{Use: "run FILE", Short: "Run it", Example: "  tool run x", Run: func(*cobra.Command, []string) {}}
	sub.Flags().StringP("out", "o", "x.txt", "write to this `file`, or TOOL_OUT")
	sub.Flags().Bool("secret", false, "")
	sub.Flags().MarkHidden("secret")
	root.AddCommand(sub, &cobra.Command{Use: "inner", Hidden: true, Run: sub.Run})
	pages := manpages.Pages(root, manpages.Options{Manual: "Tools", Section: map[string]string{"tool run": "8"}, Env: "TOOL_", Files: []manpages.File{{Flag: "out", Path: "/tmp/x.txt", Text: "what came out"}}})
	if got := manpages.Names(pages); !slices.Equal(got, []string{"tool-run.8", "tool.1"}) {
		t.Errorf("pages %v", got)
	}
	for name, wants := range map[string][]string{
		"tool.1":     {".TH TOOL 1 \"\" Moothall \"Tools\"\n", "First\nline.\n.PP\n\\&.Second paragraph\n.PP\n.nf\n  kept \\-as it is\n.fi\n", ".SH EXIT STATUS\n.PP\n.nf\n  0  done\n", "\\fBtool\\-run\\fR(8)\nRun it\n"},
		"tool-run.8": {"\\fBtool run FILE [flags]\\fR\n", "\\fB\\-o\\fR, \\fB\\-\\-out\\fR \\fIfile\\fR\nwrite to this file, or TOOL_OUT (default x.txt)\n", ".SH EXAMPLES\n.PP\n.nf\n  tool run x\n.fi\n.SH FILES\n.TP\n\\fI/tmp/x.txt\\fR\nwhat came out\n.SH ENVIRONMENT\n.TP\n\\fBTOOL_OUT\\fR\nstands for \\-\\-out\n.SH SEE ALSO\n\\fBtool\\fR(1)\n"},
	} {
		for _, want := range wants {
			if !strings.Contains(string(pages[name]), want) {
				t.Errorf("%s has no %q:\n%s", name, want, pages[name])
			}
		}
	}
	if strings.Contains(string(pages["tool-run.8"]), "secret") {
		t.Error("a hidden flag is shown")
	}
}

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/config"
)

// keySize is what Corosync's key generator writes by default too.
const keySize = 256

func newKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make the key that the nodes of a cluster share",
		Long: `Make the key that the nodes of a cluster share.

EXIT STATUS
  0  done
  2  wrong command or flag`,
		Args: subcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyGenerateCommand())
	return cmd
}

func newKeyGenerateCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Write a new random key",
		Long: fmt.Sprintf(`Write a new random key of %d bytes, readable by its owner only. Every node of
the cluster needs the same file. A file that is there is never overwritten.

EXIT STATUS
  0  the key is written
  1  it could not be written
  2  wrong flag`, keySize),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := filepath.Abs(out)
			if err != nil {
				return err
			}
			_, missing := os.Stat(filepath.Dir(out))
			if err := generateKey(out); err != nil {
				return err
			}
			if errors.Is(missing, fs.ErrNotExist) {
				fmt.Fprintf(cmd.OutOrStdout(), "Made the directory %s, which was not there.\n", filepath.Dir(out))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Wrote a key of %d bytes to %s. Copy it to every node of the cluster, with owner and mode: scp -p %s NODE:%s\n", keySize, out, out, out)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", env("MOOTHALL_KEY", config.DefaultKeyFile), "file to write, or MOOTHALL_KEY")
	return cmd
}

func generateKey(name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("directory of the key: %w: name another file with --out", err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already and is left as it is: nodes that use it would no longer hear those with a new one; move it away, or name another file with --out", name)
	}
	if err != nil {
		return fmt.Errorf("write the key: %w: run it as root, or name another file with --out", err)
	}
	key := make([]byte, keySize)
	rand.Read(key)
	_, err = f.Write(key)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the key: %w", errors.Join(err, os.Remove(name)))
	}
	return nil
}

package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Sizes of a key file in bytes (ordering 3.7).
const (
	MinKey = 32
	MaxKey = 4096
)

// ReadKey reads a key file. At most MaxKey bytes count, as in Corosync. warning
// is not empty when others than its owner could read the file.
func ReadKey(name string) (key []byte, warning string, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", missingKey(name)
	}
	if err != nil {
		return nil, "", fmt.Errorf("key file: %w: is the agent started as root?", err)
	}
	defer f.Close()
	key, err = io.ReadAll(io.LimitReader(f, MaxKey))
	if err != nil {
		return nil, "", fmt.Errorf("key file: %w", err)
	}
	if len(key) < MinKey {
		return nil, "", fmt.Errorf("key file %s has %d bytes, at least %d are needed: make one with moot key generate and copy it to all nodes", name, len(key), MinKey)
	}
	if info, err := f.Stat(); err == nil && info.Mode().Perm()&0o077 != 0 {
		warning = fmt.Sprintf("key file %s can be read by others (mode %04o): run chmod 400 %s", name, info.Mode().Perm(), name)
	}
	return key, warning, nil
}

// missingKey is the error for a key file that is not there.
type missingKey string

func (name missingKey) Error() string {
	return fmt.Sprintf("key file %s is not there: copy it from another node, or make one with moot key generate --out %s", string(name), string(name))
}

func (missingKey) Is(target error) bool { return target == fs.ErrNotExist }

// CheckKey finds the key as LoadKey does and tells what is wrong with it. A key
// that is not on this machine or not for this user's eyes is a warning: files
// are also checked where no node runs.
func (c *Config) CheckKey(override string) Problems {
	var ps Problems
	at := c.at("totem.keyfile")
	_, warning, err := c.loadKey(override)
	missing, absent := errors.AsType[missingKey](err)
	switch {
	case absent:
		ps.add(Warning, at, fmt.Sprintf("key file %s is not on this machine", string(missing)), "no agent starts without it: copy it to every node, or make one with moot key generate")
	case errors.Is(err, fs.ErrPermission):
		ps.add(Warning, at, fmt.Sprintf("the key is not checked: %v", errors.Unwrap(err)), "check as root")
	case err != nil:
		ps.add(Error, at, err.Error(), "")
	case warning != "":
		ps.add(Warning, at, warning, "")
	}
	if override == "" && !c.Authenticated() {
		ps.add(Warning, c.at("totem."), "authentication: none; whoever reaches the ports can join and forge", "write crypto_cipher: aes256 and crypto_hash: sha256, and run moot key generate")
	}
	return ps
}

// defaultKey is Corosync's file where there is one, else ours.
func defaultKey() string {
	if _, err := os.Stat(CorosyncKeyFile); err == nil {
		return CorosyncKeyFile
	}
	return DefaultKeyFile
}

// LoadKey finds the key of the cluster: override if not empty, else
// totem.keyfile, else totem.key, else a default file if cryptography is on
// (corosync-ipc 4.4). No key and no error: the file asks for none, and frames
// are sealed with a key made from the cluster's name.
func (c *Config) LoadKey(override string) (key []byte, warning string, err error) {
	key, warning, err = c.loadKey(override)
	if err != nil && override == "" && c.File != "" {
		err = fmt.Errorf("%v: %w", c.at("totem.keyfile"), err)
	}
	return key, warning, err
}

// keyFile is totem.keyfile. In a moot.toml a relative one is beside that file; in
// a corosync.conf it is in the working directory, as for Corosync, and messages
// name it in full.
func (c *Config) keyFile() string {
	name := c.Totem.KeyFile
	if isTOML(c.File) && !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(c.File), name)
	}
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

func (c *Config) loadKey(override string) (key []byte, warning string, err error) {
	switch {
	case override != "":
		return ReadKey(override)
	case c.Totem.KeyFile != "":
		return ReadKey(c.keyFile())
	case c.Totem.Key != "":
		return []byte(c.Totem.Key), "", nil
	case c.crypto():
		return ReadKey(defaultKey())
	}
	return nil, "", nil
}

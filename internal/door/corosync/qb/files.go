package qb

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/service"
)

var pageSize = os.Getpagesize()

// ringNames are the channels of a connection, in the order of the handshake's
// answer.
var ringNames = [3]string{"request", "response", "event"}

// A dir is the directory that holds the shared files of one connection. It is
// locked while it is in use, which tells it from one that a dead server left.
type dir struct {
	path    string
	service string
	fd      int
}

func ringFile(ring, service string) string { return "qb-" + ring + "-" + service }

// ringPath is the name of a ring in the handshake's answer.
func (d *dir) ringPath(ring string) string {
	return filepath.Join(d.path, ringFile(ring, d.service))
}

// createDir makes the directory of a connection, open to this process alone
// until handOver.
func createDir(shm, svc string, pid int32, fd int) (*dir, error) {
	for range 16 {
		name := fmt.Sprintf("qb-%d-%d-%d-%s", os.Getpid(), pid, fd, rand.Text()[:6])
		path := filepath.Join(shm, name)
		err := unix.Mkdir(path, 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("create %s: %w", path, err)
		}
		d := &dir{path: path, service: svc}
		if d.fd, err = lockDir(path); err != nil {
			_ = unix.Rmdir(path)
			return nil, err
		}
		return d, nil
	}
	return nil, fmt.Errorf("create a directory in %s: %w", shm, unix.EEXIST)
}

// lockDir opens a directory and locks it; an error means that somebody else
// uses it.
func lockDir(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("lock %s: %w", path, err)
	}
	return fd, nil
}

// createRing makes and maps the two files of a ring for messages of up to size
// bytes, owned by the client.
func (d *dir) createRing(name string, size int, cred service.Cred) (ring, error) {
	var r ring
	dataLen := (size + dataMargin + pageSize - 1) / pageSize * pageSize
	headerPath, dataPath := d.ringPath(name)+"-header", d.ringPath(name)+"-data"
	var err error
	if r.head, err = d.createFile(filepath.Base(headerPath), headerLen, cred); err != nil {
		return ring{}, err
	}
	if r.data, err = d.createFile(filepath.Base(dataPath), dataLen, cred); err != nil {
		r.unmap()
		return ring{}, err
	}
	r.words = uint32(dataLen / 4)
	r.initialise(headerPath, dataPath)
	return r, nil
}

func (d *dir) createFile(name string, size int, cred service.Cred) ([]byte, error) {
	fail := func(doing string, err error) ([]byte, error) {
		return nil, fmt.Errorf("%s %s: %w", doing, filepath.Join(d.path, name), err)
	}
	fd, err := unix.Openat(d.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fail("create", err)
	}
	defer unix.Close(fd)
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return fail("set the mode of", err)
	}
	// Taking the memory now turns a full /dev/shm into an error of the handshake.
	if err := unix.Fallocate(fd, 0, 0, int64(size)); err != nil {
		return fail("allocate", err)
	}
	if err := giveTo(fd, cred); err != nil {
		return fail("change the owner of", err)
	}
	b, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fail("map", err)
	}
	return b, nil
}

// handOver lets the client into the directory.
func (d *dir) handOver(cred service.Cred) error {
	if err := giveTo(d.fd, cred); err != nil {
		return fmt.Errorf("change the owner of %s: %w", d.path, err)
	}
	if err := unix.Fchmod(d.fd, 0o770); err != nil {
		return fmt.Errorf("set the mode of %s: %w", d.path, err)
	}
	return nil
}

func giveTo(fd int, cred service.Cred) error {
	if int(cred.UID) == os.Geteuid() && int(cred.GID) == os.Getegid() {
		return nil
	}
	return unix.Fchown(fd, int(cred.UID), int(cred.GID))
}

// remove deletes files and directory. The client owns both and may have
// replaced them, so nothing is reached by following its paths.
func (d *dir) remove() {
	for _, name := range ringFiles(d.service) {
		_ = unix.Unlinkat(d.fd, name, 0)
	}
	_ = unix.Close(d.fd)
	_ = unix.Rmdir(d.path)
}

func ringFiles(svc string) []string {
	var names []string
	for _, r := range ringNames {
		names = append(names, ringFile(r, svc)+"-header", ringFile(r, svc)+"-data")
	}
	return names
}

// removeStale deletes what servers of the same services left in shm when they
// died: directories whose server's process is gone and which nobody has locked.
// It returns how many.
func removeStale(shm string, services []string) int {
	entries, err := os.ReadDir(shm)
	if err != nil {
		return 0
	}
	n := 0
	for _, e := range entries {
		if !e.IsDir() || !leftBehind(e.Name()) {
			continue
		}
		path := filepath.Join(shm, e.Name())
		svc, ok := staleService(path, services)
		if !ok {
			continue
		}
		fd, err := lockDir(path)
		if err != nil {
			continue
		}
		(&dir{path: path, service: svc, fd: fd}).remove()
		n++
	}
	return n
}

// leftBehind reads the server's pid out of a directory's name. The own pid
// counts: an earlier process had it, the lock tells.
func leftBehind(name string) bool {
	rest, ok := strings.CutPrefix(name, "qb-")
	if !ok {
		return false
	}
	first, _, _ := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(first)
	if err != nil || pid <= 0 {
		return false
	}
	return pid == os.Getpid() || errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}

// staleService says to which of the services a directory belongs, if it holds
// nothing but the files of one. An empty one, whose files the client has removed,
// may be taken for anybody's: its server is dead and will not miss it.
func staleService(path string, services []string) (string, bool) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", false
	}
	for _, svc := range services {
		files := ringFiles(svc)
		foreign := func(e os.DirEntry) bool { return !slices.Contains(files, e.Name()) }
		if !slices.ContainsFunc(entries, foreign) {
			return svc, true
		}
	}
	return "", false
}

package corosync

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/service"
)

// Zero copy buffers of libcpg (corosync-ipc 2.1.8) work, but they are copied:
// nothing in a shared file can be trusted twice, and nothing uses them any more.

// Layout of the shared file.
const (
	zcAddress  = 8  // u64, written here: what names the buffer in later requests
	zcRequest  = 16 // a request as of cpg_mcast_joined
	zcMsglen   = zcRequest + 32
	zcMessage  = zcRequest + mcastFixed
	zcPath     = 128
	zcDir      = "/dev/shm"
	zcPrefix   = "corosync_zerocopy-"
	maxBuffers = 64 // of one connection
)

// zeroCopyTable holds the buffers of one connection. Addresses are numbers of
// this table's own.
type zeroCopyTable struct {
	files map[uint64]*os.File
	last  uint64
}

func (t *zeroCopyTable) close() {
	for _, f := range t.files {
		_ = f.Close()
	}
	t.files = nil
}

// zeroCopyRequest handles the three requests. libcpg looks at the answers to
// alloc and free only for having come.
func (c *cpgClient) zeroCopyRequest(id int32, msg []byte) bool {
	switch id {
	case reqZeroCopyAlloc:
		if err := c.zcAlloc(msg); err != nil {
			c.complain(slog.LevelWarn, "zero copy buffer refused", "err", err)
			c.status(respZeroCopy, service.ErrInvalidParam)
			return true
		}
		c.status(respZeroCopy, service.OK)
	case reqZeroCopyFree:
		address := le.Uint64(msg[24:])
		if f := c.zeroCopy.files[address]; f != nil {
			_ = f.Close()
			delete(c.zeroCopy.files, address)
		}
		c.status(respZeroCopy, service.OK)
	case reqZeroCopyExecute:
		return c.zcExecute(le.Uint64(msg[16:]))
	}
	return true
}

func (c *cpgClient) zcAlloc(msg []byte) error {
	name, _, _ := bytes.Cut(msg[24:24+zcPath], []byte{0})
	if len(c.zeroCopy.files) >= maxBuffers {
		return fmt.Errorf("more than %d buffers", maxBuffers)
	}
	f, err := openZeroCopy(string(name), c.q.Cred())
	if err != nil {
		return err
	}
	t := &c.zeroCopy
	t.last++
	if _, err := f.WriteAt(le.AppendUint64(nil, t.last), zcAddress); err != nil {
		_ = f.Close()
		return fmt.Errorf("write the address: %w", err)
	}
	if t.files == nil {
		t.files = map[uint64]*os.File{}
	}
	t.files[t.last] = f
	return nil
}

// openZeroCopy opens the client's file and removes its name, as the protocol
// wants it. The path comes from the client: it must be such a file, the
// client's own, and no link.
func openZeroCopy(path string, cred service.Cred) (*os.File, error) {
	if filepath.Dir(path) != zcDir || !strings.HasPrefix(filepath.Base(path), zcPrefix) {
		return nil, fmt.Errorf("%q is not a zero copy buffer in %s", path, zcDir)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || !st.Mode().IsRegular() || sys.Uid != cred.UID || sys.Nlink != 1 {
		_ = f.Close()
		return nil, fmt.Errorf("%q is not a file of user %d alone", path, cred.UID)
	}
	if err := unix.Unlink(path); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("remove %q: %w", path, err)
	}
	return f, nil
}

// zcExecute multicasts what is in a buffer.
func (c *cpgClient) zcExecute(address uint64) bool {
	f := c.zeroCopy.files[address]
	var n [4]byte
	if f == nil || readFull(f, n[:], zcMsglen) != nil {
		c.status(respZeroCopyExecute, service.ErrInvalidParam)
		return true
	}
	size := le.Uint32(n[:])
	if size > cpg.MaxAtomic {
		c.status(respZeroCopyExecute, service.ErrTooBigCode)
		return true
	}
	body := append(cpg.AppendMcastHead(c.body[:0], false), make([]byte, size)...)
	c.body = body
	if size > 0 && readFull(f, body[cpg.McastHead:], zcMessage) != nil {
		c.status(respZeroCopyExecute, service.ErrInvalidParam)
		return true
	}
	return c.callPlain(cpg.CallMcast, body, respZeroCopyExecute)
}

// readFull reads from the file, never past its end.
func readFull(f *os.File, b []byte, at int64) error {
	_, err := f.ReadAt(b, at)
	return err
}

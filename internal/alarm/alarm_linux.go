package alarm

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernel is a timer of the kernel's, which the runtime's poller watches like a socket.
type kernel struct {
	file *os.File // counts who uses the descriptor
	raw  syscall.RawConn
}

// New is an alarm whose calls come one after the other, all on one goroutine. If the
// system has no more timers it is [Runtime]'s.
func New(f func()) Alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return Runtime(f)
	}
	a := &kernel{file: os.NewFile(uintptr(fd), "timer")}
	if a.raw, err = a.file.SyscallConn(); err != nil {
		_ = a.file.Close()
		return Runtime(f)
	}
	go a.run(f)
	return a
}

func (a *kernel) run(f func()) {
	var count uint64
	for a.raw.Read(func(fd uintptr) bool {
		n, _, _ := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&count)), unsafe.Sizeof(count))
		return n == unsafe.Sizeof(count)
	}) == nil {
		f()
	}
}

func (a *kernel) Set(d time.Duration) {
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))} // zero would switch it off
	_ = a.raw.Control(func(fd uintptr) {
		_, _, _ = syscall.RawSyscall6(unix.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&at)), 0, 0, 0)
	})
}

func (a *kernel) Stop() { _ = a.file.Close() }

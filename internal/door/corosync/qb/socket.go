package qb

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sendBytes and recvBytes never block and never raise a signal.
func sendBytes(fd int, b []byte) (int, error) {
	n, _, no := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if no != 0 {
		return 0, no
	}
	return int(n), nil
}

func recvBytes(fd int, b []byte) (int, error) {
	n, _, no := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT, 0, 0)
	if no != 0 {
		return 0, no
	}
	return int(n), nil
}

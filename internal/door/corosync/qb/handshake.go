package qb

import (
	"encoding/binary"
	"syscall"
)

// Sizes of the two messages of the handshake (corosync-ipc 1.3).
const (
	authRequestLen  = 24
	authResponseLen = 12328
	nameLen         = 4096
)

// minMessage is the smallest message size that is agreed: the libraries never
// ask for less, and answers of the services need it.
const minMessage = authResponseLen

const transportShm = 1

// parseAuth reads the first message of a client: the message size it wants.
func parseAuth(b []byte) (size uint32, err error) {
	if len(b) != authRequestLen {
		return 0, protocolError("authentication of %d bytes", len(b))
	}
	if id := int32(binary.LittleEndian.Uint32(b)); id != idAuthenticate {
		return 0, protocolError("first message has id %d", id)
	}
	return binary.LittleEndian.Uint32(b[16:]), nil
}

// agreeSize answers the size that a client asks for: Corosync echoes it; here
// it must be possible too.
func agreeSize(want uint32, limit int) (int, error) {
	if int64(want) > int64(limit) {
		return 0, syscall.EINVAL
	}
	return max(int(want), minMessage), nil
}

// appendAccept appends the answer that opens the rings.
func appendAccept(b []byte, size int, cookie uint64, rings [3]string) []byte {
	b = AppendHeader(b, idAuthenticate, authResponseLen, 0)
	b = binary.LittleEndian.AppendUint32(b, transportShm)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = binary.LittleEndian.AppendUint64(b, cookie)
	for _, name := range rings {
		b = append(b, name...)
		b = append(b, make([]byte, nameLen-len(name))...)
	}
	return b
}

// appendRefuse appends the answer that refuses the connection.
func appendRefuse(b []byte, no syscall.Errno) []byte {
	b = AppendHeader(b, idAuthenticate, authResponseLen, -int32(no))
	return append(b, make([]byte, authResponseLen-ResponseHeader)...)
}

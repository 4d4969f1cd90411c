package qb

import "encoding/binary"

// Lengths of the headers that all messages start with (corosync-ipc 1.2).
const (
	RequestHeader  = 16
	ResponseHeader = 24
)

// Ids with a meaning of their own; those of services start at zero.
const (
	idAuthenticate int32 = -1
	idDisconnect   int32 = -3
)

// AppendHeader appends the header of a response or an event of size bytes in
// all. Errors are the values of cs_error_t.
func AppendHeader(b []byte, id int32, size int, code int32) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(uint32(id)))
	b = binary.LittleEndian.AppendUint64(b, uint64(uint32(size)))
	return binary.LittleEndian.AppendUint64(b, uint64(uint32(code)))
}

// splitRequest checks the header of a chunk against its real length and
// returns the id and the message, cut to the size that the header tells.
func splitRequest(chunk []byte) (id int32, msg []byte, err error) {
	if len(chunk) < RequestHeader {
		return 0, nil, protocolError("request of %d bytes has no room for its header", len(chunk))
	}
	id = int32(binary.LittleEndian.Uint32(chunk))
	size := int32(binary.LittleEndian.Uint32(chunk[8:]))
	if size < RequestHeader || int(size) > len(chunk) {
		return 0, nil, protocolError("request %d says %d bytes in a chunk of %d", id, size, len(chunk))
	}
	return id, chunk[:size], nil
}

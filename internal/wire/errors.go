package wire

import "errors"

// Parsers wrap one of these; the text around it names the field and both numbers.
var (
	ErrShort        = errors.New("wire: frame is too short")
	ErrTrailing     = errors.New("wire: bytes follow the end of the frame")
	ErrBadMagic     = errors.New("wire: magic is not that of a ring frame")
	ErrBadVersion   = errors.New("wire: protocol version is not supported")
	ErrBadHeaderLen = errors.New("wire: header length is not supported")
	ErrBadType      = errors.New("wire: frame type is unknown")
	ErrBadNode      = errors.New("wire: node id is out of range")
	ErrBadOrder     = errors.New("wire: list does not ascend")
	ErrBadRun       = errors.New("wire: runs are not ascending and apart within their range")
	ErrBadVarint    = errors.New("wire: varint is too long")
	ErrBadText      = errors.New("wire: text is not UTF-8")
	ErrBadValue     = errors.New("wire: field has a value that is not defined")
	ErrSlot         = errors.New("wire: slot is out of range")
	ErrTooMany      = errors.New("wire: list is too long")

	// ErrTable reports a bitmap over another node table than the receiver's. The
	// sender runs another configuration; the frame may be well formed.
	ErrTable = errors.New("wire: bitmap refers to another node table")
)

// Package wire encodes and decodes the frames of the ring, one file a frame
// (ordering 2.4). Everything is little endian. Encoders append to a buffer that
// the caller owns; decoders return views into the input and allocate only after
// they have checked every length and bounded every list. A decoder accepts or
// refuses, it never panics; what it accepts encodes to the same bytes again.
// The package knows no state.
package wire

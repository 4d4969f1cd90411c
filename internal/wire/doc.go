// Package wire turns the frames of a ring into bytes and back.
//
// A frame is a 28-byte [Header] and a body. AppendXxx writes both and sets the
// header's type itself; [ParseHeader] splits a frame, ParseXxx reads the body.
// All integers are little endian. The whole format stands in
// docs/protocols/ring.md; it implements ordering 2.4.
//
// # Bounds
//
// A parser checks every length against the bytes that are really there before
// it reads or allocates, refuses what is left over at the end, and never
// panics. What it hands out is well formed: slots are at most [MaxSlot], lists
// of nodes ascend strictly and name nodes, reserved bytes are zero. Whether a
// frame makes sense at this moment is for the engine to decide.
//
// Encoders trust their caller: they take what the types and the Max constants
// allow, in the order that the types ask for.
//
// # Ownership
//
// Data.Pieces and Piece.Body are views into the frame; everything else that a
// parser returns is a copy. Append functions grow and return the slice they
// are given, as append does, and keep no reference to their arguments.
//
// # Concurrency
//
// All functions are pure and may run anywhere.
package wire

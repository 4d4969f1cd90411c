package cmap

import (
	"encoding/binary"
	"math"
)

// Type is the type of a value; the numbers are libcmap's.
type Type uint8

// The types. A typed getter of libcmap fails on another type.
const (
	Int8 Type = iota + 1
	Uint8
	Int16
	Uint16
	Int32
	Uint32
	Int64
	Uint64
	Float
	Double
	String
	Binary
)

var typeNames = [...]string{Int8: "i8", Uint8: "u8", Int16: "i16", Uint16: "u16", Int32: "i32", Uint32: "u32",
	Int64: "i64", Uint64: "u64", Float: "flt", Double: "dbl", String: "str", Binary: "bin"}

// String is the type's name as corosync-cmapctl has it.
func (t Type) String() string {
	if t < Int8 || t > Binary {
		return "none"
	}
	return typeNames[t]
}

// size is the number of bytes of a number; zero: the type has no fixed size.
func (t Type) size() int {
	switch t {
	case Int8, Uint8:
		return 1
	case Int16, Uint16:
		return 2
	case Int32, Uint32, Float:
		return 4
	case Int64, Uint64, Double:
		return 8
	}
	return 0
}

func (t Type) integer() bool { return t >= Int8 && t <= Uint64 }

// Value is one typed value. Data holds numbers in little-endian order, strings
// without a final NUL. The zero Value is none.
type Value struct {
	Type Type
	Data string
}

// MaxValue is the largest value in bytes.
const MaxValue = 16384

// valid reports whether the data fit the type.
func (v Value) valid() bool {
	if v.Type < Int8 || v.Type > Binary || len(v.Data) > MaxValue {
		return false
	}
	n := v.Type.size()
	return n == 0 || n == len(v.Data)
}

// number makes a value of an integer type of the low bytes of n.
func number(t Type, n uint64) Value {
	b := binary.LittleEndian.AppendUint64(nil, n)
	return Value{t, string(b[:t.size()])}
}

// U8 is a value of one byte.
func U8(n uint8) Value { return number(Uint8, uint64(n)) }

// Bool is the u8 that stands for a truth value.
func Bool(v bool) Value {
	if v {
		return U8(1)
	}
	return U8(0)
}

// U16 is a value of two bytes.
func U16(n uint16) Value { return number(Uint16, uint64(n)) }

// U32 is a value of four bytes.
func U32(n uint32) Value { return number(Uint32, uint64(n)) }

// I32 is a signed value of four bytes.
func I32(n int32) Value { return number(Int32, uint64(n)) }

// U64 is a value of eight bytes.
func U64(n uint64) Value { return number(Uint64, n) }

// F32 is a floating-point value of four bytes.
func F32(f float32) Value {
	return Value{Float, string(binary.LittleEndian.AppendUint32(nil, math.Float32bits(f)))}
}

// Str is a string.
func Str(s string) Value { return Value{String, s} }

// Uint is the number in a value of an integer type, sign extended.
func (v Value) Uint() (n uint64, ok bool) {
	if !v.Type.integer() || !v.valid() {
		return 0, false
	}
	var b [8]byte
	if v.Type%2 == 1 && v.Data[len(v.Data)-1]&0x80 != 0 { // the signed ones are odd
		b = [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	copy(b[:], v.Data)
	return binary.LittleEndian.Uint64(b[:]), true
}

// Text is the string in a value, empty if it is none.
func (v Value) Text() string {
	if v.Type != String {
		return ""
	}
	return v.Data
}

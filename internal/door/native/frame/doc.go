// Package frame is the language of the native door: messages, the packets that
// carry them, and the greeting. Both ends use it, the agent's door and package
// client. docs/protocols/native.md describes every byte.
//
// A packet of the socket carries whole messages one behind the other. A message
// that is larger than a packet travels as parts, which follow each other without
// another message in between. A Packer makes packets of messages, a Decoder
// messages of packets.
//
// # Credit
//
// Requests and events of one opened service flow while their sender has credit
// with the receiver. It is counted in bytes of whole messages, header included.
// A sender whose credit is above zero may send one message of any size, which
// may take the credit below zero; so a message never waits half sent, and both
// ends can always read what arrives.
//
// # Limits
//
// Every length is checked against what is there, and against the limits of the
// greeting, before memory is taken for it.
//
// # Concurrency
//
// Nothing here is for more than one goroutine at a time.
package frame

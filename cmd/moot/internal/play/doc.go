// Package play is the playground: a whole cluster in one process, with real
// sockets on loopback and real sealing, whose nodes can be killed, stopped and
// cut off from each other while it tells what happens.
//
// Each node runs a program that joins one process group and writes down what it
// is given. At the end the notes of all programs are compared by a check that
// knows nothing of the engine.
package play

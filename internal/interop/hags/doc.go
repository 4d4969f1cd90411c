// Package hags holds real agents and the C library of Group Services to appendix A
// of group services: all of its scenarios, by their numbers. Those that any
// library can be asked are package groupstest's; what only the library or the
// agent's process can show is here.
//
// Every process of a scenario is capi/drive, a C program that does what it is
// told, built with the address and undefined behaviour sanitizers where the
// compiler has them. Scenarios share agents, each with groups of its own, and run
// at the same time, for most of them wait for seconds to pass.
//
// There is no code here but tests.
package hags

// Package scenario holds situations with a known right outcome (ordering 5.6):
// a plan for the simulator and what has to come of it, mostly times. The drawn
// plans ask whether a cluster recovers; these ask whether it does so as fast, and
// with as little waste, as the protocol promises (ordering 2.23).
package scenario

// Package cpg is the process group service: processes on all nodes join named
// groups, multicast to them in one total order, and see each group's changes at
// the same place in that order.
package cpg

// Package testenv helps tests that need more than a function: the built binary,
// real processes, network namespaces, conditions that come true some time, and
// golden files.
//
// Nothing here sleeps longer than a poll of 10 ms. What is started ends with its
// test.
package testenv

// Package obs measures: histograms for the paths where every nanosecond counts,
// and the text in which Prometheus reads metrics.
//
// A Histogram may be written by many goroutines while others read it. Observe
// takes no lock and does not allocate. A Page belongs to one goroutine.
package obs

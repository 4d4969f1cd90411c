// Package timing asks whether a cluster does what it does as fast, and with as
// little waste, as the protocol promises (ordering 1.5, 2.23): situations of
// ordering 5.6 as plans for the simulator, and for each the longest times, the
// most rings and the most repetitions that are in order. The bounds allow for the
// links of bare runs, which are looked at once per ping only.
package timing

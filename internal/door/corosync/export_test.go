package corosync

// What the tests against a whole member share with those of this package.
var (
	BuildC  = build
	OutputC = output
)

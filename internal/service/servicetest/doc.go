// Package servicetest is what tests of the built-in services share: round trips
// and fuzzing of bodies, and package service/servicetest under the same name.
package servicetest

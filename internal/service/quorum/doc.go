// Package quorum is the service that decides whether the present ring may act,
// and tells it.
package quorum

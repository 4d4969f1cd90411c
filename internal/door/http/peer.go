package httpdoor

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// trust is what a way in says about whoever comes by it.
type trust uint8

const (
	loopback  trust = iota + 1 // somebody on this machine, or what runs in his browser
	local                      // a user whom the system names
	certified                  // a certificate of the authority was shown
)

// peer is who is at the other end of a connection.
type peer struct {
	trust trust
	uid   int // with local; -1: not known
}

type peerKey struct{}

func withPeer(ctx context.Context, t trust, c net.Conn) context.Context {
	p := peer{trust: t, uid: -1}
	if t == local {
		p.uid = userOf(c)
	}
	return context.WithValue(ctx, peerKey{}, p)
}

// userOf asks the system who connected; -1: it does not say.
func userOf(c net.Conn) int {
	u, ok := c.(syscall.Conn)
	if !ok {
		return -1
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return -1
	}
	uid := -1
	raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	return uid
}

func peerOf(r *http.Request) peer {
	p, _ := r.Context().Value(peerKey{}).(peer)
	return p
}

// commands reports whether p may change something.
func (p peer) commands() bool {
	return p.trust == certified || p.trust == local && (p.uid == 0 || p.uid == os.Geteuid())
}

// refusal says why p may not do what only commands may, and what would help.
func (p peer) refusal(what string) string {
	if p.trust == loopback {
		return "who may " + what + " is not known at a loopback address: use the agent's socket in its run directory, as moot does, or mutual TLS"
	}
	return "only root and the user that runs the agent may " + what + ": try with sudo"
}

// looksInside reports whether p may see what the process does.
func (p peer) looksInside() bool { return p.trust == certified || p.trust == local }

// ownName reports whether a request to a loopback address names one, as all but
// a web page that was given a wrong address do.
func ownName(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

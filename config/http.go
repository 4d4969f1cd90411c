package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// Check says whether an agent may listen there: on a loopback address, where
// only this machine reaches it, or anywhere with mutual TLS. Nothing to listen on
// is fine.
func (h HTTP) Check() error {
	files := 0
	for _, f := range []string{h.Cert, h.Key, h.CA} {
		if f != "" {
			files++
		}
	}
	if files != 0 && files != 3 {
		return errors.New("mutual TLS takes three files: cert and key of the agent, and ca for the certificates of clients")
	}
	if h.Listen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(h.Listen)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is no address with a port: write it as in 127.0.0.1:5480", h.Listen)
	}
	addr, err := netip.ParseAddr(host)
	if host != "" && host != "localhost" && err != nil {
		return fmt.Errorf("%q is no address: write a number, as in 127.0.0.1:5480", h.Listen)
	}
	if files == 0 && host != "localhost" && !addr.IsLoopback() {
		return fmt.Errorf("%s can be reached from other machines, and whoever reaches it would be answered: give cert, key and ca for mutual TLS, or listen on 127.0.0.1:%s", h.Listen, port)
	}
	return nil
}

func (v *validator) http() {
	if err := v.c.HTTP.Check(); err != nil {
		at := v.c.at("http.listen")
		if v.c.HTTP.Listen == "" {
			at = v.c.at("http.")
		}
		v.problems.errorf(at, "an agent answers anybody on loopback, and holders of a certificate elsewhere", "http: %v", err)
	}
}

// Command kvd serves a linearizable key-value store over HTTP. Run one beside the
// agent of each node:
//
//	curl -X PUT -d blue localhost:8080/colour
//	curl localhost:8080/colour
//
// It ends when its agent does. Whoever starts it again, as a service manager does,
// gets the state from the others; docs/decisions/0070 tells how many may be without
// it at a time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/examples/kv"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address for HTTP")
	socket := flag.String("socket", "", "socket of the agent (default: MOOTHALL_SOCKET, or agent.sock in MOOTHALL_RUN_DIR, or "+client.DefaultSocket+")")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), `usage: kvd [options]
Then: curl -X PUT -d blue ADDRESS/colour; curl ADDRESS/colour`)
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx := context.Background()
	agent, err := client.Dial(ctx, client.Config{Socket: *socket})
	if err != nil {
		log.Fatal(err)
	}
	store, err := kv.Join(ctx, cpg.New(agent))
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("serving at http://%v", l.Addr())
	server := &http.Server{Handler: handler(store), ReadHeaderTimeout: 5 * time.Second}
	go func() { log.Fatal(server.Serve(l)) }()
	log.Fatal(store.Run(ctx, store))
}

const (
	largest  = 64 << 10         // bytes of a value
	deadline = 10 * time.Second // of a request
)

// handler reads and writes the value of the key that the path names. A PUT with
// If-Match puts only if the value is that one. Each answers with the value that
// it found.
func handler(store *kv.Store) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), deadline)
		defer cancel()
		op := kv.Op{Key: r.URL.Path, Old: r.Header.Get("If-Match")}
		_, op.If = r.Header["If-Match"]
		switch r.Method {
		case http.MethodGet:
		case http.MethodPut:
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largest))
			if err != nil {
				http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
				return
			}
			op.Put, op.Value = true, string(body)
		default:
			w.Header().Set("Allow", "GET, PUT")
			http.Error(w, "GET or PUT", http.StatusMethodNotAllowed)
			return
		}
		found, err := store.Do(ctx, op)
		switch {
		case errors.Is(err, kv.ErrUnknown):
			http.Error(w, err.Error(), http.StatusGatewayTimeout)
		case errors.Is(err, kv.ErrMinority):
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		case op.Put && !found.Done:
			http.Error(w, found.Value, http.StatusPreconditionFailed)
		default:
			io.WriteString(w, found.Value)
		}
	})
}

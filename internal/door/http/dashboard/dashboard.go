// Package dashboard is the page of the HTTP door: one agent and its cluster, for
// people with a browser.
//
// It is three files without dependencies or a build step, and asks for nothing but
// the documents and the stream of events of the door that it came from, so that
// it shows no more than those show, to nobody else. It changes nothing.
//
// # Names of others
//
// Names of groups and values of state come from programs that nobody vouches for.
// The script makes texts of them and never markup, and the policy that goes with
// the page has the browser refuse everything else: scripts and styles that are not
// these files, requests to other places, frames around it.
//
// # Names of variables
//
// A variable of the script that holds a document has the name that the tests know
// for its type. They follow every field that is read to the structs of package
// admin.
package dashboard

import (
	"embed"
	"net/http"
)

//go:embed index.html dashboard.css dashboard.js
var files embed.FS

// policy is what the browser may do with the page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Routes are the page and what belongs to it, by patterns of http.ServeMux. Who may
// read them is the door's concern, and so is that browsers take them for what they are
// declared to be.
func Routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /{$}":           serve("index.html", "text/html; charset=utf-8"),
		"GET /dashboard.css": serve("dashboard.css", "text/css; charset=utf-8"),
		"GET /dashboard.js":  serve("dashboard.js", "text/javascript; charset=utf-8"),
	}
}

// serve answers with one file.
func serve(name, kind string) http.HandlerFunc {
	body, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it was there when this was compiled
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		w.Write(body)
	}
}

package httpdoor_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/config"
	httpdoor "github.com/moothall/moothall/internal/door/http"
	"github.com/moothall/moothall/internal/obs"
	"github.com/moothall/moothall/internal/testenv"
)

const patience = 60 * time.Second

// backend is a node that says what the test wants.
type backend struct {
	health admin.Health
	err    error
	stuck  chan struct{} // not nil: Nodes waits for it
}

func (b *backend) Status(context.Context) admin.Status {
	return admin.Status{Cluster: "hall", State: "operational"}
}

func (b *backend) Services(context.Context) (admin.Services, error) {
	return admin.Services{Services: []admin.Service{{Name: "cpg", ID: 2}}}, b.err
}

func (b *backend) Nodes(ctx context.Context) (admin.Nodes, error) {
	if b.stuck != nil {
		<-b.stuck
	}
	return admin.Nodes{Nodes: []admin.Member{{ID: 1, Name: "anna"}}}, b.err
}

func (b *backend) Groups(context.Context) (admin.Groups, error) {
	return admin.Groups{Groups: []admin.Group{
		{Name: "a/b", Members: []admin.Process{{Node: 1, PID: 7}}},
		{Name: "?x", Bytes: []byte{0xff, 'x'}, Members: []admin.Process{}},
	}}, b.err
}

func (b *backend) Decisions(_ context.Context, since uint64) (admin.Decisions, error) {
	out := admin.Decisions{Life: 9, Decisions: []admin.Decision{}}
	for no := max(since, 2) + 1; no <= 6; no++ {
		out.Decisions = append(out.Decisions, admin.Decision{No: no, Kind: "view", Text: fmt.Sprint("decision ", no)})
	}
	out.Missing = 2 - min(since, 2)
	return out, b.err
}

func (b *backend) Readmit(context.Context, admin.NodeID) error { return b.err }

func (b *backend) Reload(context.Context) (admin.Reloaded, error) {
	return admin.Reloaded{Changes: []admin.ReloadedChange{{Name: "totem.token"}}}, b.err
}

func (b *backend) Health(context.Context) admin.Health { return b.health }

func (b *backend) Metrics(context.Context) *obs.Page {
	p := &obs.Page{}
	p.One(obs.Gauge, "ring_members", "Nodes of the ring.", 3)
	return p
}

// open starts a door in a run directory.
func open(t *testing.T, c httpdoor.Config) (*httpdoor.Door, *admin.Client) {
	t.Helper()
	if c.Backend == nil {
		c.Backend = &backend{}
	}
	if c.Events == nil {
		c.Events = httpdoor.NewEvents(9, "hall", 1)
	}
	if c.RunDir == "" {
		c.RunDir = t.TempDir()
	}
	d, err := httpdoor.Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d, admin.New(c.RunDir)
}

func request(t *testing.T, c *admin.Client, method, path string, change ...func(*http.Request)) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.Base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(req)
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestDocuments(t *testing.T) {
	_, c := open(t, httpdoor.Config{})
	ctx := t.Context()
	if st, err := c.Status(ctx); err != nil || st.Cluster != "hall" {
		t.Errorf("status %+v, %v", st, err)
	}
	if n, err := c.Nodes(ctx); err != nil || len(n.Nodes) != 1 {
		t.Errorf("nodes %+v, %v", n, err)
	}
	if g, err := c.Groups(ctx); err != nil || len(g.Groups) != 2 {
		t.Errorf("groups %+v, %v", g, err)
	}
	if g, err := c.Group(ctx, "a/b"); err != nil || g.Name != "a/b" || g.Members[0].PID != 7 {
		t.Errorf("group %+v, %v", g, err)
	}
	if g, err := c.Group(ctx, "\xffx"); err != nil || g.Name != "?x" {
		t.Errorf("group by its bytes %+v, %v", g, err)
	}
	_, err := c.Group(ctx, "none")
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Code != http.StatusNotFound || !strings.Contains(e.Text, `"none"`) {
		t.Errorf("a group that is not there: %v", err)
	}
	d, err := c.Decisions(ctx, 0, 2)
	if err != nil || d.Life != 9 || d.Missing != 2 || len(d.Decisions) != 2 || d.Decisions[0].No != 3 || d.Next != 4 {
		t.Errorf("decisions %+v, %v", d, err)
	}
	if d, err = c.Decisions(ctx, 6, 0); err != nil || len(d.Decisions) != 0 || d.Next != 6 || d.Missing != 0 {
		t.Errorf("no newer decisions %+v, %v", d, err)
	}
	if r, err := c.Readmit(ctx, 3); err != nil || r.Node != 3 {
		t.Errorf("readmit %+v, %v", r, err)
	}
	if r, err := c.Reload(ctx); err != nil || r.Error != "" || len(r.Changes) != 1 || r.Warnings == nil {
		t.Errorf("reload %+v, %v", r, err)
	}
}

func TestErrorsAreDocuments(t *testing.T) {
	_, c := open(t, httpdoor.Config{Backend: &backend{err: errors.New("not now")}})
	for _, tc := range []struct {
		method, path string
		code         int
		text         string
	}{
		{"GET", "/no", 404, "there is no /no; start with /v1/status"},
		{"POST", "/", 405, "only GET, HEAD"},
		{"GET", "/v1/nothing", 404, "/v1/nothing"},
		{"POST", "/v1/status", 405, "only GET, HEAD"},
		{"GET", "/v1/reload", 405, "only POST"},
		{"DELETE", "/metrics", 405, "only GET, HEAD"},
		{"GET", "/v1/decisions?since=x", 400, `since: "x" is not a number`},
		{"GET", "/v1/decisions?limit=-1", 400, "limit"},
		{"GET", "/v1/events?since=tomorrow", 400, "since"},
		{"GET", "/v1/events?since=9-x", 400, "since"},
		{"GET", "/v1/nodes", 503, "not now"},
		{"GET", "/v1/groups", 503, "not now"},
		{"GET", "/v1/groups/g", 503, "not now"},
		{"GET", "/v1/decisions", 503, "not now"},
		{"POST", "/v1/reload", 409, "not now"},
		{"POST", "/v1/readmit?node=3", 409, "not now"},
		{"POST", "/v1/readmit?node=x", 400, `"x" is not a node id`},
		{"POST", "/v1/readmit", 400, "node"},
	} {
		resp, body := request(t, c, tc.method, tc.path)
		var doc admin.Failure
		if err := json.Unmarshal([]byte(body), &doc); err != nil || resp.StatusCode != tc.code || !strings.Contains(doc.Error, tc.text) {
			t.Errorf("%s %s: %d %q (%v), want %d with %q", tc.method, tc.path, resp.StatusCode, body, err, tc.code, tc.text)
		}
		if resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: type %s", tc.method, tc.path, resp.Header.Get("Content-Type"))
		}
		if tc.code == 405 && resp.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", tc.method, tc.path)
		}
	}
	resp, body := request(t, c, "HEAD", "/v1/status")
	if resp.StatusCode != 200 || body != "" || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD: %d %q %v", resp.StatusCode, body, resp.Header)
	}
	resp, body = request(t, c, "HEAD", "/v1/events")
	if resp.StatusCode != 200 || body != "" || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD of the stream: %d %q %v", resp.StatusCode, body, resp.Header)
	}
	resp, body = request(t, c, "POST", "/v1/reload", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")); r.ContentLength = 1 })
	if resp.StatusCode != 400 || !strings.Contains(body, "no request here has a body") {
		t.Errorf("with a body: %d %q", resp.StatusCode, body)
	}
}

// The page is for whoever may read documents, and comes with what browsers shall know.
func TestDashboard(t *testing.T) {
	d, c := open(t, httpdoor.Config{HTTP: config.HTTP{Listen: "127.0.0.1:0"}})
	front := &admin.Client{Base: "http://" + d.Addrs()[1], HTTP: &http.Client{}}
	for _, c := range []*admin.Client{c, front} {
		for path, kind := range map[string]string{"/": "text/html", "/dashboard.css": "text/css", "/dashboard.js": "text/javascript"} {
			resp, body := request(t, c, "GET", path)
			h := resp.Header
			if resp.StatusCode != 200 || !strings.HasPrefix(h.Get("Content-Type"), kind) || body == "" {
				t.Errorf("%s: %d, %s, %d bytes", path, resp.StatusCode, h.Get("Content-Type"), len(body))
			}
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Security-Policy") == "" {
				t.Errorf("%s: %v", path, h)
			}
		}
	}
	if resp, _ := request(t, front, "GET", "/", func(r *http.Request) { r.Host = "evil.example" }); resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("under another name: %d", resp.StatusCode)
	}
}

// A browser has the right to change something, by its certificate or by a tunnel to the
// socket. Pages of others do not get it.
func TestOtherSitesChangeNothing(t *testing.T) {
	_, c := open(t, httpdoor.Config{})
	for _, tc := range []struct {
		method, name, value string
		code                int
	}{
		{"POST", "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{"POST", "Sec-Fetch-Site", "same-site", http.StatusForbidden},
		{"POST", "Origin", "https://evil.example", http.StatusForbidden},
		{"POST", "Sec-Fetch-Site", "same-origin", http.StatusOK},
		{"POST", "Accept", "*/*", http.StatusOK}, // no browser
		{"GET", "Sec-Fetch-Site", "cross-site", http.StatusMethodNotAllowed},
	} {
		resp, body := request(t, c, tc.method, "/v1/reload", func(r *http.Request) { r.Header.Set(tc.name, tc.value) })
		if resp.StatusCode != tc.code || tc.code == http.StatusForbidden && !strings.Contains(body, "another site") {
			t.Errorf("%s with %s: %s: %d %s", tc.method, tc.name, tc.value, resp.StatusCode, body)
		}
	}
}

func TestHealth(t *testing.T) {
	b := &backend{}
	_, c := open(t, httpdoor.Config{Backend: b})
	for _, tc := range []struct {
		health admin.Health
		path   string
		code   int
		why    string
	}{
		{admin.Health{}, "/livez", 503, "does not go on"},
		{admin.Health{}, "/readyz", 503, "does not go on"},
		{admin.Health{OK: true}, "/livez", 200, ""},
		{admin.Health{OK: true}, "/readyz", 503, "not synchronised"},
		{admin.Health{OK: true, Ready: true}, "/readyz", 200, ""},
		{admin.Health{OK: true, Ready: true}, "/readyz?quorum=0", 200, ""},
		{admin.Health{OK: true, Ready: true}, "/readyz?quorum=1", 503, "not quorate"},
		{admin.Health{OK: true, Ready: true, Quorate: true}, "/readyz?quorum=1", 200, ""},
	} {
		b.health = tc.health
		resp, body := request(t, c, "GET", tc.path)
		var h admin.Health
		if err := json.Unmarshal([]byte(body), &h); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != tc.code || h.OK != (tc.code == 200) || !strings.Contains(h.Error, tc.why) || tc.why == "" && h.Error != "" {
			t.Errorf("%s of %+v: %d %s", tc.path, tc.health, resp.StatusCode, body)
		}
	}
}

func TestBoundOfRequests(t *testing.T) {
	b := &backend{stuck: make(chan struct{})}
	_, c := open(t, httpdoor.Config{Backend: b})
	const most = 64
	done := make(chan error, most)
	for range most {
		go func() {
			_, err := c.Nodes(context.Background())
			done <- err
		}()
	}
	testenv.Eventually(t, patience, "too many requests", func() (bool, any) {
		_, err := c.Groups(t.Context())
		e, ok := errors.AsType[*admin.Error](err)
		return ok && e.Code == http.StatusServiceUnavailable, err
	})
	close(b.stuck)
	for range most {
		if err := <-done; err != nil {
			t.Log(err) // one that came when all places were taken
		}
	}
	if _, err := c.Groups(t.Context()); err != nil {
		t.Error(err)
	}
}

// On loopback there is no telling who asks: nothing can be changed, and web
// pages that have a name for the address are not answered.
func TestLoopback(t *testing.T) {
	d, _ := open(t, httpdoor.Config{HTTP: config.HTTP{Listen: "127.0.0.1:0"}})
	addr := d.Addrs()[1]
	c := &admin.Client{Base: "http://" + addr, HTTP: &http.Client{}}
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
	if r, err := c.Reload(t.Context()); err != nil || !strings.Contains(r.Error, "at a loopback address") {
		t.Errorf("reload: %+v, %v", r, err)
	}
	if _, err := c.Readmit(t.Context(), 3); err == nil || !strings.Contains(err.Error(), "at a loopback address") {
		t.Errorf("readmit: %v", err)
	}
	for path, host := range map[string]string{"/v1/status": "evil.example", "/metrics": "evil.example:80"} {
		resp, body := request(t, c, "GET", path, func(r *http.Request) { r.Host = host })
		if resp.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s as %s: %d %s", path, host, resp.StatusCode, body)
		}
	}
	_, port, _ := net.SplitHostPort(addr)
	if resp, _ := request(t, c, "GET", "/v1/status", func(r *http.Request) { r.Host = "localhost:" + port }); resp.StatusCode != 200 {
		t.Errorf("as localhost: %d", resp.StatusCode)
	}
	if resp, _ := request(t, c, "GET", "/debug/pprof/goroutine?debug=1"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("profiles: %d", resp.StatusCode)
	}
}

func TestProfilesOnTheSocket(t *testing.T) {
	_, c := open(t, httpdoor.Config{})
	if resp, body := request(t, c, "GET", "/debug/pprof/goroutine?debug=1"); resp.StatusCode != 200 || !strings.Contains(body, "goroutine profile") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestRefusedPlaces(t *testing.T) {
	for listen, want := range map[string]string{
		"0.0.0.0:5480":   "can be reached from other machines",
		":5480":          "can be reached from other machines",
		"192.0.2.1:5480": "can be reached from other machines",
		"127.0.0.1":      "no address with a port",
		"anna:5480":      "no address",
		"127.0.0.1:http": "no address with a port",
	} {
		_, err := httpdoor.Listen(httpdoor.Config{Backend: &backend{}, Events: httpdoor.NewEvents(1, "c", 1), HTTP: config.HTTP{Listen: listen}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", listen, err, want)
		}
	}
}

// authority makes certificates for a test.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, _ = x509.ParseCertificate(der)
	write(t, filepath.Join(a.dir, "ca.pem"), "CERTIFICATE", der)
	return a
}

func write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes NAME.pem and NAME.key.
func (a *authority) issue(t *testing.T, name string) (cert, key string) {
	t.Helper()
	k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &k.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	kd, _ := x509.MarshalPKCS8PrivateKey(k)
	cert, key = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")
	write(t, cert, "CERTIFICATE", der)
	write(t, key, "PRIVATE KEY", kd)
	return cert, key
}

func (a *authority) client(t *testing.T, by *authority) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c := &tls.Config{RootCAs: pool}
	if by != nil {
		pair, err := tls.LoadX509KeyPair(by.issue(t, "client"))
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	tr := &http.Transport{TLSClientConfig: c}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestMutualTLS(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	cert, key := ours.issue(t, "agent")
	d, _ := open(t, httpdoor.Config{HTTP: config.HTTP{Listen: "127.0.0.1:0", Cert: cert, Key: key, CA: filepath.Join(ours.dir, "ca.pem")}})
	base := "https://" + d.Addrs()[1]
	c := &admin.Client{Base: base, HTTP: ours.client(t, ours)}
	if _, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := c.Reload(t.Context()); err != nil || r.Error != "" {
		t.Errorf("a certificate may reload: %+v, %v", r, err)
	}
	if resp, _ := request(t, c, "GET", "/debug/pprof/goroutine?debug=1"); resp.StatusCode != 200 {
		t.Errorf("profiles: %d", resp.StatusCode)
	}
	if resp, _ := request(t, c, "GET", "/"); resp.StatusCode != 200 {
		t.Errorf("the page: %d", resp.StatusCode)
	}
	if resp, _ := request(t, c, "POST", "/v1/reload", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another site with a certificate: %d", resp.StatusCode)
	}
	for name, by := range map[string]*authority{"none": nil, "another authority's": theirs} {
		c := &admin.Client{Base: base, HTTP: ours.client(t, by)}
		if _, err := c.Status(t.Context()); err == nil {
			t.Errorf("answered with a certificate that is %s", name)
		}
	}
	plain := &admin.Client{Base: "http://" + d.Addrs()[1], HTTP: &http.Client{}}
	if _, err := plain.Status(t.Context()); err == nil {
		t.Error("answered without TLS")
	}
	_, err := httpdoor.Listen(httpdoor.Config{Backend: &backend{}, Events: httpdoor.NewEvents(1, "c", 1),
		HTTP: config.HTTP{Listen: "127.0.0.1:0", Cert: cert, Key: key, CA: key}})
	if err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("a key as authority: %v", err)
	}
}

// lines reads a stream as it comes.
func lines(t *testing.T, c *admin.Client, path string, change ...func(*http.Request)) *bufio.Scanner {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", c.Base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(req)
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return bufio.NewScanner(resp.Body)
}

func wantLine(t *testing.T, s *bufio.Scanner, want string) {
	t.Helper()
	for s.Scan() {
		if strings.HasPrefix(s.Text(), want) {
			return
		}
	}
	t.Fatalf("the stream ended before %q: %v", want, s.Err())
}

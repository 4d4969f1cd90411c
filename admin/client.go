package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
)

// Socket is the name of the HTTP door's socket in the run directory.
const Socket = "admin.sock"

// MaxAnswer bounds an answer for its reader, and one event of a stream.
const MaxAnswer = 16 << 20

// Client asks one agent.
type Client struct {
	// Base is the start of all addresses, as in "https://192.0.2.1:5480".
	Base string
	// HTTP does the requests. For a door on TCP it has the certificates.
	HTTP *http.Client
}

// New makes a Client of the agent on this machine that serves a run directory.
// It connects with each request.
func New(runDir string) *Client {
	return &Client{Base: "http://agent", HTTP: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(runDir, Socket))
		},
	}}}
}

// Error is an answer that is not a success.
type Error struct {
	Code int // of HTTP
	Text string
}

func (e *Error) Error() string { return e.Text }

// Status asks for the whole.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/v1/status")
}

// Nodes asks for the configured nodes.
func (c *Client) Nodes(ctx context.Context) (Nodes, error) { return get[Nodes](ctx, c, "/v1/nodes") }

// Services asks for the services that the node runs.
func (c *Client) Services(ctx context.Context) (Services, error) {
	return get[Services](ctx, c, "/v1/services")
}

// Groups asks for the process groups.
func (c *Client) Groups(ctx context.Context) (Groups, error) {
	return get[Groups](ctx, c, "/v1/groups")
}

// Group asks for one process group. An *Error with http.StatusNotFound says that
// it has no members.
func (c *Client) Group(ctx context.Context, name string) (Group, error) {
	return get[Group](ctx, c, "/v1/groups/"+url.PathEscape(name))
}

// GroupServices asks for Group Services as the node sees them.
func (c *Client) GroupServices(ctx context.Context) (GroupServices, error) {
	return get[GroupServices](ctx, c, "/v1/groupservices")
}

// VotingGroup asks for one group of Group Services. An *Error with
// http.StatusNotFound says that there is none of that name.
func (c *Client) VotingGroup(ctx context.Context, name string) (VotingGroup, error) {
	return get[VotingGroup](ctx, c, "/v1/groupservices/"+url.PathEscape(name))
}

// Topics asks for the event service as the node sees it.
func (c *Client) Topics(ctx context.Context) (Topics, error) {
	return get[Topics](ctx, c, "/v1/topics")
}

// Topic asks for one topic, and what became of its subscribers on the node. An *Error
// with http.StatusNotFound says that there is none of that name.
func (c *Client) Topic(ctx context.Context, name string) (Topic, error) {
	return get[Topic](ctx, c, "/v1/topics/"+url.PathEscape(name))
}

// Decisions asks for the entries of the decision log with a number above since,
// the oldest limit of them; zero: no limit.
func (c *Client) Decisions(ctx context.Context, since uint64, limit int) (Decisions, error) {
	return get[Decisions](ctx, c, fmt.Sprintf("/v1/decisions?since=%d&limit=%d", since, limit))
}

// Why asks for the explanation of the last change of members or quorum; with a
// node, by id or name, of the last one that concerned it; with a ring, as in
// Ring.ID, of the one that led to it. An *Error with http.StatusNotFound says
// that there is no such node.
func (c *Client) Why(ctx context.Context, node, ring string) (Why, error) {
	return get[Why](ctx, c, "/v1/why?"+url.Values{"node": {node}, "ring": {ring}}.Encode())
}

// WhatIf asks what would become of quorum and groups. The question is one of
// {"stop": nodes}, {"cut": two lists with commas between nodes}, {"votes":
// NODE=N, ...} and {"expected": N}; nodes are ids or names.
func (c *Client) WhatIf(ctx context.Context, question url.Values) (WhatIf, error) {
	return get[WhatIf](ctx, c, "/v1/whatif?"+question.Encode())
}

// Events asks for what happened since, which is the number of an event, Next of
// an earlier answer, or empty for all that is kept.
func (c *Client) Events(ctx context.Context, since string) (Events, error) {
	return get[Events](ctx, c, "/v1/events?follow=false&since="+url.QueryEscape(since))
}

// Follow yields what happened since, as in Events, and what happens from now on,
// until ctx or the agent ends. The error comes last; the agent's end is
// io.ErrUnexpectedEOF.
func (c *Client) Follow(ctx context.Context, since string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		resp, err := c.do(ctx, http.MethodGet, "/v1/events?since="+url.QueryEscape(since))
		if err == nil && resp.StatusCode != http.StatusOK {
			err = failure(resp)
		}
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, MaxAnswer)
		for lines.Scan() {
			data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
			if !ok {
				continue
			}
			var e Event
			if err := json.Unmarshal(data, &e); err != nil {
				yield(e, fmt.Errorf("an event cannot be read: %w", err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if err = lines.Err(); err == nil {
			err = io.ErrUnexpectedEOF
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		yield(Event{}, err)
	}
}

// Reload has the node, and all members with it, reload their configuration. Its
// answer says why if they did not.
func (c *Client) Reload(ctx context.Context) (Reloaded, error) {
	var out Reloaded
	resp, err := c.do(ctx, http.MethodPost, "/v1/reload")
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	return out, decode(resp, &out)
}

// Readmit has the ring of the node let another node in that it keeps out, before
// its time is over.
func (c *Client) Readmit(ctx context.Context, id NodeID) (Readmitted, error) {
	var out Readmitted
	resp, err := c.do(ctx, http.MethodPost, "/v1/readmit?node="+strconv.FormatUint(uint64(id), 10))
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return out, failure(resp)
	}
	return out, decode(resp, &out)
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var out T
	resp, err := c.do(ctx, http.MethodGet, path)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return out, failure(resp)
	}
	return out, decode(resp, &out)
}

func (c *Client) do(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.HTTP.Do(req)
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // without address and path, which the caller knows
	}
	return resp, err
}

// failure is the error of an answer that is not a success.
func failure(resp *http.Response) error {
	defer resp.Body.Close()
	var f Failure
	if decode(resp, &f) != nil || f.Error == "" {
		f.Error = "it answers " + strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
	}
	return &Error{Code: resp.StatusCode, Text: f.Error}
}

func decode(resp *http.Response, into any) error {
	if err := json.NewDecoder(io.LimitReader(resp.Body, MaxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("its answer cannot be read: %w", err)
	}
	return nil
}

package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/internal/fault"
	"github.com/stella-ops/exportcenter/signing/dpop"
	"github.com/stella-ops/exportcenter/storage"
)

const (
	// statedPatience is how long the API may take for a request of a few rows
	// (docs/torture.md), with its two entries in the audit record, and room for a busy machine.
	statedPatience = 20 * time.Second
	// givesUp is when a client gives up whose request will be answered too late.
	givesUp = time.Second
	// triesAtMost bounds how often a client asks: more than any fault can last.
	triesAtMost = 30
)

// frontCase is the story under one fault.
type frontCase struct {
	front   *front
	fault   fault.Fault
	name    string // begins the names of its tenants, and of nothing else
	faulty  *process
	alive   *process
	token   map[string]string // by whose it is: own, root
	etag    string
	profile string
	pack    string // id of its policy snapshot

	answers []reply
	sent    []sentProof
	endless bool // a call has no end in the record
	wrong   []string
}

// reply is what a client was told.
type reply struct {
	operation, requestID, code string
	status                     int
	etag, body                 string
}

func (r reply) done() bool { return r.status >= 200 && r.status < 300 }

// again reports whether a good client repeats its request.
func (r reply) again() bool { return r.status == 0 || r.status >= 500 || r.status == 429 }

// sentProof is a proof that has been sent once.
type sentProof struct {
	method, path, token, proof string
	unused                     bool // the memory has not heard of it: it may serve once
}

func newFrontCase(t testing.TB, f *front, number int, ft fault.Fault) *frontCase {
	t.Helper()
	c := &frontCase{front: f, fault: ft, name: fmt.Sprintf("c%04d", number)}
	c.faulty = f.begin(t, fault.New(ft, nil), func(n storage.Notary) storage.Notary { return chainOf{n, c.own()} })
	c.alive = c.faulty
	c.token = map[string]string{"own": f.bound(t, c.own(), "kim@"+c.name), "root": f.bound(t, audit.Installation, "root@"+c.name)}
	return c
}

func (c *frontCase) own() string { return c.name + "-own" }
func (c *frontCase) far() string { return c.name + "-far" }
func (c *frontCase) new() string { return c.name + "-new" }

func (c *frontCase) violation(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

// now is the process that lives.
func (c *frontCase) now() *process {
	if c.alive.dead() {
		c.alive = c.front.next
	}
	return c.alive
}

// patience is how long the client waits: of a request that will be answered too
// late it does not await the end, so that another one overtakes it.
func (c *frontCase) patience() time.Duration {
	if c.fault.Mode == fault.Late {
		return givesUp
	}
	return statedPatience
}

// send sends a request once, with a proof of its own; headers come in pairs. A
// status of 0 is no answer.
func (c *frontCase) send(ctx context.Context, who, operation, method, path, body string, headers ...string) reply {
	p := c.now()
	address, _, _ := strings.Cut(publicURL+path, "?")
	proof, err := c.front.key.Proof(dpop.Claims{Method: method, Address: address, Token: c.token[who], Now: now()})
	if err != nil {
		c.violation("make a proof: %v", err)
		return reply{}
	}
	before := c.faulty.injector.Struck()
	var r reply
	err = p.while(ctx, c.patience(), func(ctx context.Context) (err error) {
		r, err = ask(ctx, p, c.token[who], proof, method, path, body, headers...)
		return err
	})
	// Nothing was noted, and nobody let in: another process may take it, once.
	unused := !before && c.faulty.injector.Struck() && !r.done() && c.fault.Point == fault.UseProof &&
		(c.fault.Mode == fault.CrashBefore || c.fault.Mode == fault.Fail || c.fault.Mode == fault.Hang)
	c.sent = append(c.sent, sentProof{method, path, c.token[who], proof, unused})
	if err != nil {
		if !p.dead() && c.fault.Mode != fault.Late {
			c.violation("%s: no answer within %s: %v", operation, c.patience(), err)
		}
		return reply{operation: operation}
	}
	r.operation = operation
	c.answers = append(c.answers, r)
	return r
}

func ask(ctx context.Context, p *process, token, proof, method, path, body string, headers ...string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Authorization", "DPoP "+token)
	req.Header.Set("DPoP", proof)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	var problem struct {
		Code string `json:"code"`
	}
	json.Unmarshal(raw, &problem) //nolint:errcheck // an answer that is none has no code
	return reply{requestID: resp.Header.Get("X-Stella-Request-Id"), code: problem.Code, status: resp.StatusCode,
		etag: resp.Header.Get("ETag"), body: string(raw)}, nil
}

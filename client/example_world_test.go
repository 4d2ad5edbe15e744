package client_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// demo is a server for an example, whose runs end at once, and a client of it.
type demo struct {
	*client.Client
	world *frontendtest.World
	host  *host
	dir   string
}

// host is what an example is to the things that tests are made of.
type host struct {
	testing.TB
	ends []func()
	dirs []string
}

func (h *host) Helper()                   {}
func (h *host) Name() string              { return "Example" }
func (h *host) Cleanup(end func())        { h.ends = append(h.ends, end) }
func (h *host) Context() context.Context  { return context.Background() }
func (h *host) Logf(string, ...any)       {}
func (h *host) Errorf(f string, a ...any) { fmt.Printf(f+"\n", a...) }
func (h *host) FailNow()                  { panic("the example cannot begin") }
func (h *host) Fatalf(f string, a ...any) { h.Errorf(f, a...); h.FailNow() }

func (h *host) TempDir() string {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		h.Fatalf("%v", err)
	}
	h.dirs = append(h.dirs, dir)
	return dir
}

func (d *demo) end() {
	slices.Reverse(d.host.ends)
	for _, end := range d.host.ends {
		end()
	}
	for _, dir := range d.host.dirs {
		os.RemoveAll(dir)
	}
}

func newDemo() *demo {
	h := &host{}
	w := frontendtest.New(h, func(c *frontend.Config) { c.Trust = verify.Trust{bundletest.Verifier(h, bundletest.Key(h, 1))} })
	w.Starter.OnStart = func(run export.Run) {
		w.Runs.Say(run.Ref(), export.EventStarted, "the run has started")
		run, _ = w.Runs.GetRun(context.Background(), run.Ref())
		w.Finish(h, run)
		w.Runs.End(run.Ref(), export.StateSucceeded)
	}
	c, err := client.New(w.URL, w.Token(h, "acme"))
	if err != nil {
		h.Fatalf("%v", err)
	}
	return &demo{Client: c, world: w, host: h, dir: h.TempDir()}
}

// signedRun is a run that has ended with a signed bundle, and the file of the key.
func (d *demo) signedRun() (id, key string) {
	run, _ := d.world.Sealed(d.host, "acme", 1)
	key = filepath.Join(d.dir, "key.pub")
	if err := os.WriteFile(key, bundletest.Key(d.host, 1).PublicKeyPEM(), 0o600); err != nil {
		d.host.Fatalf("%v", err)
	}
	return run.ID, key
}

// policyPack is a pack that the server takes.
func (d *demo) policyPack(version string) []byte { return []byte(frontendtest.Pack(version, "allow")) }

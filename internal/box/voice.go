package box

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// voice speaks to the person in front of `up`, in plain words, one whole line
// at a time. Whether somebody listens makes no difference.
type voice struct {
	mu  sync.Mutex
	out io.Writer
}

func (v *voice) line(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(v.out, format+"\n", args...)
}

// block shows lines of somebody else, indented.
func (v *voice) block(text string) {
	v.line("    %s", strings.ReplaceAll(text, "\n", "\n    "))
}

func (v *voice) starting(b *box) {
	v.line("Starting Export Center on %s", b.layout.root)
	v.line("")
	v.line("  API           %s", b.apiURL())
	v.line("  Temporal UI   %s", b.temporalURL())
	v.line("  signing key   %s", b.keyID)
	v.line("  logs          %s", b.layout.at("logs"))
	v.line("")
}

func (v *voice) ready(b *box, took time.Duration) {
	v.line("Everything is ready after %.1f s. In another terminal:", took.Seconds())
	v.line("")
	v.line("  . %s", shellWord(b.layout.env()))
	v.line("")
	v.line("sets the server, the tenant %q, a token for 30 days and the trusted keys for `stella`. Ctrl-C stops.", demoTenant)
}

// shellWord quotes s only where a shell needs it.
func shellWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return s
	}
	return shellQuote(s)
}

package postgres

import (
	"context"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stella-ops/exportcenter/storage"
)

const (
	// eventChannel is where processes tell each other that journals have grown.
	eventChannel = "exportcenter_events"
	// notifyPause is the least time between two notifications of a process.
	notifyPause = 50 * time.Millisecond
	// maxTopics is how many topics a notification names: PostgreSQL takes less
	// than 8,000 bytes. Without names it means all.
	maxTopics = 400
	// notifyPatience bounds one notification; a lost one is made up for by those
	// who look once in a while.
	notifyPatience = 5 * time.Second
)

// notifier tells other processes which journals have grown. NOTIFY is never
// issued in a transaction that writes, because it makes the commits of all
// tenants queue behind one lock (ARCHITECTURE D6): topics are noted after the
// commit, and one goroutine sends what has gathered, each time in a transaction
// of its own that writes nothing.
type notifier struct {
	pool *pgxpool.Pool
	end  context.CancelFunc
	gone chan struct{}
	wake chan struct{} // holds one

	mu     sync.Mutex
	topics map[storage.Topic]bool
}

func newNotifier(pool *pgxpool.Pool) *notifier {
	ctx, end := context.WithCancel(context.Background())
	n := &notifier{pool: pool, end: end, gone: make(chan struct{}), wake: make(chan struct{}, 1), topics: map[storage.Topic]bool{}}
	go n.run(ctx)
	return n
}

// note remembers topics whose events have been committed.
func (n *notifier) note(topics []storage.Topic) {
	if len(topics) == 0 {
		return
	}
	n.mu.Lock()
	for _, t := range topics {
		if len(n.topics) <= maxTopics { // one more than fits says that it is more
			n.topics[t] = true
		}
	}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *notifier) run(ctx context.Context) {
	defer close(n.gone)
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}
		n.send(ctx)
		if sleep(ctx, notifyPause) != nil {
			return
		}
	}
}

// send notifies once. What it cannot say is not said later: whoever listens
// looks by himself soon.
func (n *notifier) send(ctx context.Context) {
	n.mu.Lock()
	topics := n.topics
	n.topics = map[storage.Topic]bool{}
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, notifyPatience)
	defer cancel()
	_, _ = n.pool.Exec(ctx, "select pg_notify($1, $2)", eventChannel, noticeText(topics))
}

// close ends the goroutine.
func (n *notifier) close() {
	n.end()
	<-n.gone
}

// noticeText is the payload of a notification: topics in hex, joined by spaces;
// "" when there are too many. A topic is a hash, so that no channel of the
// database, which every tenant's service shares, names a tenant or a run.
func noticeText(topics map[storage.Topic]bool) string {
	if len(topics) > maxTopics {
		return ""
	}
	words := make([]string, 0, len(topics))
	for t := range topics {
		words = append(words, hex.EncodeToString(t[:]))
	}
	return strings.Join(words, " ")
}

// parseNotice reads a payload. What cannot be read means all.
func parseNotice(text string) storage.Notice {
	var notice storage.Notice
	for _, word := range strings.Fields(text) {
		raw, err := hex.DecodeString(word)
		if err != nil || len(raw) != len(storage.Topic{}) {
			return storage.Notice{All: true}
		}
		notice.Topics = append(notice.Topics, storage.Topic(raw))
	}
	notice.All = len(notice.Topics) == 0
	return notice
}

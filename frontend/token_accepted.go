package frontend

import (
	"time"

	"github.com/stella-ops/exportcenter/bundle"
)

// acceptedBytes is how long the texts of remembered tokens are together.
const acceptedBytes = 4 << 20

// acceptedTokens remembers who tokens speak for that were accepted, under the
// SHA-256 of their whole text: a token of which one bit differs is another. What is
// remembered counts until the token expires, without the grace for clocks, and only
// for the reading of the key set that it was verified with: a key that the issuer
// takes back takes its tokens with it when the set is read again, as without memory.
type acceptedTokens struct {
	recent *recent[bundle.Digest, acceptedToken]
}

// acceptedToken is what was found out about a token. Nobody changes it.
type acceptedToken struct {
	principal Principal
	keys      *keySnapshot
	from      time.Time // when it was verified
	until     time.Time // when it expires
}

// newAcceptedTokens makes a memory for tokens of limit bytes together.
func newAcceptedTokens(limit int) *acceptedTokens {
	return &acceptedTokens{newRecent[bundle.Digest, acceptedToken](limit)}
}

// find gives what is known of token, if that still counts at now. The caller
// compares the keys.
func (a *acceptedTokens) find(token string, now time.Time) (acceptedToken, bool) {
	if len(token) > maxToken {
		return acceptedToken{}, false
	}
	known, ok := a.recent.get(bundle.DigestOf([]byte(token)))
	// A clock that was set back makes the token's own times count again.
	if !ok || now.Before(known.from) || !now.Before(known.until) {
		return acceptedToken{}, false
	}
	return known, true
}

// keep remembers a token that was accepted.
func (a *acceptedTokens) keep(token string, known acceptedToken) {
	a.recent.put(bundle.DigestOf([]byte(token)), known, len(token))
}

package client

import "time"

// Hurry makes an import try again at once, for a while.
func (c *Client) Hurry() {
	c.imports = importTimes{patience: time.Minute, firstPatience: time.Minute, rest: time.Millisecond, lastRest: 10 * time.Millisecond}
}

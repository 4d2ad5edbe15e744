// Package dpop makes and checks DPoP proofs (RFC 9449): small JWTs by which a
// client shows, with every request, that it holds the key an access token is
// bound to. A token that was stolen without that key opens nothing.
//
// Clients hold a [Key] and send [Key.Proof] beside the token; servers call
// [Check] and then remember [Proof.ID] for as long as the proof could be sent
// again. Whether an ID was seen before, and the server's nonce, are the caller's
// to decide: that takes a memory which all servers share.
package dpop

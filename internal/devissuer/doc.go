// Package devissuer is the token endpoint of an installation on one machine:
// registered clients get access tokens that live five minutes and are bound to the
// client's own key (OAuth 2.0 client credentials, RFC 6749 section 4.4, with DPoP, RFC
// 9449 section 5). `exportcenter up` serves it on loopback, so that what is tried
// there works as it will with a real issuer; on a network it is never served.
//
//	POST /oauth/token      Authorization: Basic, DPoP; grant_type=client_credentials[&scope=...]
//	GET  /oauth/jwks.json  the public keys
package devissuer

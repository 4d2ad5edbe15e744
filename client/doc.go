// Package client speaks to Export Center: the SDK that stella and other programs use.
// Its types come from the OpenAPI document of the frontend; it carries no server.
//
//	c, err := client.New("https://export.example", token)
//	run, err := c.CreateRun(ctx, client.RunRequest{ProfileID: "json:raw"}, key)
//	run, err = c.WaitRun(ctx, run.RunID, nil)
//	archive, err := c.Download(ctx, run.RunID, file)
//
// # Who calls
//
// A Client is one token holder at one server, for any number of goroutines. The token
// is a fixed one, or comes from a [TokenSource] ([Tokens]); [Credentials] gets tokens
// that are bound to a key (DPoP), and [DPoP] proves that one has it. [Tenant] makes the
// server refuse a token of another tenant. No redirect is followed: the token is for the
// server that was named.
//
// # What goes wrong
//
// What the server refuses comes back as a [*Problem] (errors.As) with status, code,
// the fields that are wrong, and the trace id that finds the reason in its log.
// [Temporary] tells whether the same call may succeed later, [RetryAfter] when the
// server asked to come back.
//
// # What is repeated
//
// A call that changes nothing, that may be made twice, or that has an idempotency key is
// made again, up to four times, while the server cannot be reached or asks to come back
// later (429, 502, 503, 504). It waits as long as Retry-After says, seconds or a date, up
// to half a minute and never beyond its context; when more is asked for it ends at once.
// CreateRun and CreateProfile without a key, UpdateProfile, CreateTenant and ExportAudit
// are made once. Events, WaitRun, Download and imports go on where they were.
//
// # Bytes
//
// A download is compared with the digest that the server promised before it is called
// complete; one that was interrupted, at whatever byte, goes on with Resume. That the
// promise is the right one is for package bundle/verify to say, offline, by keys that
// came another way. Uploads and downloads stream: memory does not grow with their size.
//
// # Lists
//
// List calls give a page. AllRuns, AllProfiles, AllPolicySnapshots, AllDocuments,
// AllTenants and AllAudit are iterators over all pages.
package client

//go:generate ../.tools/bin/oapi-codegen --config api.cfg.yaml ../frontend/openapi.yaml

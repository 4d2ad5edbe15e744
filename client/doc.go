// Package client speaks to Export Center: the SDK that stella and other
// programs use. Its types come from the OpenAPI document of the frontend; it
// carries no server.
//
//	c, err := client.New("https://export.example", token)
//	run, err := c.CreateRun(ctx, client.RunRequest{ProfileID: "json:raw"}, key)
//	run, err = c.WaitRun(ctx, run.RunID, nil)
//	archive, err := c.Download(ctx, run.RunID, file)
//
// What the server refuses comes back as a *Problem with its status and code.
// Bytes are checked against their digests before they are called complete.
package client

//go:generate ../.tools/bin/oapi-codegen --config api.cfg.yaml ../frontend/openapi.yaml

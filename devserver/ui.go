package main

import (
	"github.com/temporalio/ui-server/v2/server"
	"github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
)

// startUI serves Temporal's web page. It fetches nothing from elsewhere; when
// its port is taken the process ends and says so.
func startUI(c Config) *server.Server {
	ui := server.NewServer(server_options.WithConfigProvider(&config.Config{
		TemporalGRPCAddress: c.frontend(),
		Host:                c.ListenHost,
		Port:                c.UIPort,
		EnableUI:            true,
		DefaultNamespace:    c.Namespace,
		DisableNewsFetch:    true,
		NotifyOnNewVersion:  false,
		HideLogs:            true,
		// Plain HTTP on loopback: a Secure cookie would never come back.
		CORS: config.CORS{CookieInsecure: true},
	}))
	go ui.Start() //nolint:errcheck // it ends the process itself
	return ui
}

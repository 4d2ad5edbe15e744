package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/internal/box"
	"github.com/stella-ops/exportcenter/internal/clock"
)

// readyWithin bounds a start; the first one on a slow machine takes seconds.
const readyWithin = 3 * time.Minute

func upCommand() *cobra.Command {
	o := box.Options{ReadyWithin: readyWithin, Clock: clock.System, Random: rand.Reader, Out: os.Stdout}
	cmd := &cobra.Command{
		Use:   "up --data DIR",
		Short: "Run everything on this machine: PostgreSQL, Temporal, api and worker",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find the program itself: %w", err)
			}
			o.Exportcenter = self
			for i, file := range o.CrossTenantApprovers {
				if o.CrossTenantApprovers[i], err = filepath.Abs(file); err != nil {
					return fmt.Errorf("--cross-tenant-approver: %w", err)
				}
			}
			o.Temporal = filepath.Join(filepath.Dir(self), "exportcenter-temporal")
			ctx, kill := interrupts(cmd.Context())
			return box.Up(ctx, kill, o)
		},
	}
	cmd.Flags().StringVar(&o.Data, "data", "", "`DIR` that keeps everything")
	cmd.Flags().StringVar(&o.Listen, "listen", box.DefaultListen, "`HOST:PORT` of the API on loopback; port 0 = a free one")
	cmd.Flags().StringVar(&o.PostgresBin, "postgres-bin", "", "`DIR` with initdb and postgres; default: Debian's, else PATH")
	cmd.Flags().StringArrayVar(&o.CrossTenantApprovers, "cross-tenant-approver", nil,
		"`FILE` with the public key of somebody who may approve that a run reads another tenant's evidence; may be given again. Without one no run does")
	cmd.MarkFlagRequired("data") //nolint:errcheck // the flag is there
	return cmd
}

// interrupts ends the context with the first signal, and closes kill with the
// second. A reader of our output that went away is no reason to end, nor is a
// terminal that was closed when nohup said so.
func interrupts(parent context.Context) (context.Context, <-chan struct{}) {
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancel(parent)
	kill := make(chan struct{})
	go func() {
		<-signals
		cancel()
		<-signals
		close(kill)
	}()
	return ctx, kill
}

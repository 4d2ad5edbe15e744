// Command exportcenter is the server: everything on one machine (`up`), or its
// parts on many (`api`, `worker`, `migrate`).
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/internal/config"
)

// version is set by the Makefile.
var version = "dev"

func main() {
	err := rootCommand().Execute()
	if err == nil {
		return
	}
	if errors.Is(err, errDiverged) {
		os.Exit(2)
	}
	if !errors.As(err, &logged{}) {
		fmt.Fprintln(os.Stderr, "exportcenter:", err)
	}
	if errors.Is(err, errNotRemoved) {
		os.Exit(2)
	}
	os.Exit(exitCode(err))
}

// exitCode is that of commands which verify (CONTRACT ruling 9), 1 elsewhere.
func exitCode(err error) int {
	var own *ended
	var verdict *verify.Error
	switch {
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &verdict):
		return verdict.ExitCode()
	}
	return 1
}

// logged marks an error that is in the process's log already.
type logged struct{ error }

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "exportcenter",
		Short:         "Packages vulnerability evidence into bundles that strangers can verify",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(upCommand(), apiCommand(), workerCommand(), migrateCommand(), tokenCommand(), clientCommand(), initCommand(), healthCommand(),
		fsckCommand(), offboardCommand(), policyCommand(), rebuildCommand(), tufRootCommand())
	return root
}

// place is where a process finds its configuration.
type place struct{ data, file string }

// addFlags gives a command --data and --config; exactly one is needed.
func (p *place) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.data, "data", "", "data `DIR` of `exportcenter up`; its config.yaml is read")
	cmd.Flags().StringVar(&p.file, "config", "", "configuration `FILE`")
	cmd.MarkFlagsMutuallyExclusive("data", "config")
	cmd.MarkFlagsOneRequired("data", "config")
}

func (p *place) load() (config.Config, error) {
	if p.file != "" {
		return config.Load(p.file)
	}
	if p.data == "" {
		return config.Config{}, errors.New("--data or --config is empty")
	}
	return config.Load(filepath.Join(p.data, "config.yaml"))
}

// serviceLog writes JSON lines that name their process.
func serviceLog(service string) *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stderr, nil)).With("service", service, "version", version)
}

// untilAsked ends with SIGTERM or Ctrl-C: the process then drains.
func untilAsked(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
}

// service makes the command of a process that runs until it is asked to end.
func service(name, short string, run func(ctx context.Context, cfg config.Config, log *slog.Logger) error) *cobra.Command {
	var where place
	cmd := &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := where.load()
			if err != nil {
				return err
			}
			ctx, stop := untilAsked(cmd)
			defer stop()
			log := serviceLog(name)
			if err := run(ctx, cfg, log); err != nil && !errors.Is(err, context.Canceled) {
				log.Error("ended", "error", err.Error())
				return logged{err}
			}
			log.Info("stopped")
			return nil
		},
	}
	where.addFlags(cmd)
	return cmd
}

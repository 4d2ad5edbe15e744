package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
)

func completionCommand() *cobra.Command {
	command := group("completion", "Print a completion script for a shell",
		`Print a script that completes commands, flags, runs, profiles, tenants and contexts.

  source <(stella completion bash)                                        # this bash
  stella completion bash > /etc/bash_completion.d/stella                  # every bash; needs bash-completion
  stella completion zsh > "${fpath[1]}/_stella"                           # every zsh
  stella completion fish > ~/.config/fish/completions/stella.fish         # every fish
  stella completion powershell | Out-String | Invoke-Expression           # this PowerShell

Runs, profiles and tenants are asked for at the server, for a second at most; when that
does not work, or STELLA_OFFLINE is set, there are none.`)
	for _, shell := range []struct {
		name  string
		write func(*cobra.Command, io.Writer) error
	}{
		{"bash", func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) }},
		{"zsh", (*cobra.Command).GenZshCompletion},
		{"fish", func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) }},
		{"powershell", (*cobra.Command).GenPowerShellCompletionWithDesc},
	} {
		command.AddCommand(leaf(shell.name, "Print the script for "+shell.name, cobra.NoArgs, func(command *cobra.Command, _ []string) error {
			return shell.write(command.Root(), command.OutOrStdout())
		}))
	}
	return command
}

type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completionPatience is how long somebody who has pressed a key waits at most.
const completionPatience = time.Second

// addCompletion completes the arguments and flags of everything below a group, by what
// their usage calls them.
func (c *connection) addCompletion(group *cobra.Command) {
	for _, command := range group.Commands() {
		c.addCompletion(command)
		if _, word, _ := strings.Cut(command.Use, " "); command.ValidArgsFunction == nil {
			switch word {
			case "RUN":
				command.ValidArgsFunction = once(c.asked(runIDs))
			case "PROFILE":
				command.ValidArgsFunction = once(c.asked(profileNames))
			case "SNAPSHOT":
				command.ValidArgsFunction = once(c.asked(snapshotIDs))
			case "NAME":
				command.ValidArgsFunction = once(c.asked(tenantNames))
			}
		}
		if local := command.LocalNonPersistentFlags().Lookup("profile"); local != nil {
			_ = command.RegisterFlagCompletionFunc("profile", c.asked(profileNames))
		}
		if command.Flags().Lookup("policy-snapshot") != nil {
			_ = command.RegisterFlagCompletionFunc("policy-snapshot", c.asked(snapshotIDs))
		}
		for flag, words := range map[string][]string{"status": runStates(), "archived": {"exclude", "include", "only"}, "policy-engine": {export.PolicyEngineOPA, export.PolicyEngineImported}, "event": {"call.begun", "call.ended", "call.refused", "tenant.read"}} {
			if command.Flags().Lookup(flag) != nil {
				_ = command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
			}
		}
	}
}

func runStates() (names []string) {
	for _, s := range []client.RunStatus{client.RunStatusPending, client.RunStatusRunning, client.RunStatusWaiting, client.RunStatusSucceeded,
		client.RunStatusPartial, client.RunStatusFailed, client.RunStatusAborted, client.RunStatusExpired} {
		names = append(names, string(s))
	}
	return names
}

// once completes the first argument and no other.
func once(complete completer) completer {
	return func(command *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(command, args, begun)
	}
}

// asked completes with what the server has. It says nothing when that cannot be had:
// somebody is in the middle of typing.
func (c *connection) asked(list func(context.Context, *client.Client) ([]string, error)) completer {
	return func(command *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		c.command.SetErr(io.Discard)
		if applySettings(command, nil) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		opened, err := c.open()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionPatience)
		defer cancel()
		all, err := list(ctx, opened)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return beginning(all, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// beginning gives the words that begin so, each with its description. The shell reads
// tabs and line ends as its own.
func beginning(all []string, begun string) (words []string) {
	for _, word := range all {
		word, about, _ := strings.Cut(word, "\t")
		if word == printable(word) && strings.HasPrefix(word, begun) {
			words = append(words, word+"\t"+printable(about))
		}
	}
	return words
}

// completionLimit is how many are offered: more than a screen has helps nobody.
var completionLimit = 50

func runIDs(ctx context.Context, c *client.Client) (all []string, err error) {
	page, err := c.ListRuns(ctx, client.ListRunsParams{Limit: &completionLimit})
	for _, run := range page.Runs {
		if export.ValidRunID(run.RunID) {
			all = append(all, run.RunID+"\t"+string(run.Status)+" "+run.Profile.Kind+":"+run.Profile.Variant+" "+run.RequestedAt.UTC().Format(time.DateTime))
		}
	}
	return all, err
}

func profileNames(ctx context.Context, c *client.Client) (all []string, err error) {
	page, err := c.ListProfiles(ctx, client.ListProfilesParams{Limit: &completionLimit})
	for _, p := range page.Profiles {
		all = append(all, p.Name+"\t"+p.Kind+":"+p.Variant+" "+p.Description)
	}
	return all, err
}

func snapshotIDs(ctx context.Context, c *client.Client) (all []string, err error) {
	page, err := c.ListPolicySnapshots(ctx, client.ListPolicySnapshotsParams{Limit: &completionLimit})
	for _, s := range page.PolicySnapshots {
		all = append(all, s.ID+"\t"+s.Name+" "+s.Version)
	}
	return all, err
}

func tenantNames(ctx context.Context, c *client.Client) (all []string, err error) {
	page, err := c.ListTenants(ctx, client.ListTenantsParams{Limit: &completionLimit})
	for _, t := range page.Tenants {
		all = append(all, t.Tenant+"\t"+string(t.State))
	}
	return all, err
}

// completeContexts gives the names of logins and profile files.
func completeContexts(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	root, err := configDir()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, kind := range []string{"contexts", "profiles"} {
		entries, _ := os.ReadDir(filepath.Join(root, kind)) //nolint:errcheck // then there are none
		for _, entry := range entries {
			name, file := strings.CutSuffix(entry.Name(), ".toml")
			if file == (kind == "profiles") && export.ValidTenant(name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return beginning(slices.Compact(names), begun), cobra.ShellCompDirectiveNoFileComp
}

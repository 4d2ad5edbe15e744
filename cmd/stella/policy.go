package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/client"
)

func policyCommand() *cobra.Command {
	var c connection
	command := group("policy", "Policy packs: the rules that runs decide by",
		`Policy packs: the rules that runs decide by. A pack is an OPA bundle, as "opa build
--revision VERSION" makes one: a .tar.gz file of at most 4 MiB. Imported it is a policy
snapshot, which never changes; a run names one with --policy-snapshot.

`+exitCodesHelp)
	c.addFlags(command)
	command.AddCommand(policyListCommand(&c), policyShowCommand(&c), policyImportCommand(&c), policyDownloadCommand(&c), policyArchiveCommand(&c))
	c.addCompletion(command)
	return command
}

func policyListCommand(c *connection) *cobra.Command {
	var name, archived, cursor string
	var limit int
	var f *format
	command := leaf("list", "List policy snapshots by name and version", cobra.NoArgs, func(command *cobra.Command, _ []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		params := client.ListPolicySnapshotsParams{Limit: &limit}
		if name != "" {
			params.Name = &name
		}
		if cursor != "" {
			params.Cursor = &cursor
		}
		if archived != "" {
			params.Archived = (*client.ListPolicySnapshotsParamsArchived)(&archived)
		}
		page, err := opened.ListPolicySnapshots(command.Context(), params)
		if err != nil {
			return err
		}
		return f.print(command.OutOrStdout(), page, func() [][]string { return policyRows(page) })
	})
	flags := command.Flags()
	flags.StringVar(&name, "name", "", "only snapshots of this name")
	flags.StringVar(&archived, "archived", "", "archived ones: exclude (default), include or only")
	flags.IntVar(&limit, "limit", 50, "at most this many, 1 to 200")
	flags.StringVar(&cursor, "cursor", "", "continue a list")
	f = addFormat(command)
	return command
}

func policyRows(page client.PolicySnapshotPage) [][]string {
	rows := [][]string{{"NAME", "VERSION", "STATE", "ID", "DESCRIPTION"}}
	for _, s := range page.PolicySnapshots {
		state := ""
		switch {
		case s.BuiltIn:
			state = "built-in"
		case s.Archived:
			state = "archived"
		}
		rows = append(rows, []string{s.Name, s.Version, state, s.ID, s.Description})
	}
	if page.NextCursor != "" {
		rows = append(rows, []string{"more: --cursor " + page.NextCursor})
	}
	return rows
}

func policyShowCommand(c *connection) *cobra.Command {
	var f *format
	command := leaf("show SNAPSHOT", "Show a policy snapshot", oneSnapshot, func(command *cobra.Command, args []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		s, err := opened.GetPolicySnapshot(command.Context(), args[0])
		if err != nil {
			return err
		}
		return printPolicy(command.OutOrStdout(), s, f)
	})
	f = addFormat(command)
	return command
}

// oneSnapshot takes one id; what else was typed never becomes part of a path.
func oneSnapshot(command *cobra.Command, args []string) error {
	if err := cobra.ExactArgs(1)(command, args); err != nil {
		return err
	}
	if strings.Trim(args[0], "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || args[0] == "" {
		return fmt.Errorf("%q is not the id of a policy snapshot", args[0])
	}
	return nil
}

func printPolicy(out io.Writer, s client.PolicySnapshot, f *format) error {
	return f.print(out, s, func() [][]string { return policyLines(s) })
}

// policyLines are the lines of "policy show": what is known, nothing else.
func policyLines(s client.PolicySnapshot) [][]string {
	rows := [][]string{{"policy", s.Name}, {"version", s.Version}, {"id", s.ID}, {"digest", s.Digest}, {"bytes", strconv.FormatInt(s.Bytes, 10)}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("project", s.Project)
	add("description", s.Description)
	if !s.CreatedAt.IsZero() {
		add("imported", s.CreatedAt.UTC().Format(time.RFC3339)+" by "+s.CreatedBy)
	}
	if s.Archived {
		add("archived", s.ArchivedAt.UTC().Format(time.RFC3339)+" by "+s.ArchivedBy)
	}
	return rows
}

func policyImportCommand(c *connection) *cobra.Command {
	var name, description string
	var f *format
	command := leaf("import FILE", "Import a policy pack", cobra.ExactArgs(1), func(command *cobra.Command, args []string) error {
		if name == "" {
			return inputErrorf("name the snapshot with --name NAME")
		}
		pack, err := readLimited(args[0], client.MaxPolicyPack)
		switch {
		case err != nil:
			return inputErrorf("read the policy pack: %w", err)
		case len(pack) > client.MaxPolicyPack:
			return inputErrorf("%s: a policy pack has at most %d bytes", args[0], client.MaxPolicyPack)
		case len(pack) == 0:
			return inputErrorf("%s: is empty", args[0])
		}
		opened, err := c.open()
		if err != nil {
			return err
		}
		s, err := opened.ImportPolicySnapshot(command.Context(), name, description, pack)
		if err != nil {
			return err
		}
		if want := bundle.DigestOf(pack).String(); s.Digest != want {
			return fmt.Errorf("the server has recorded %s, %s is %s", s.Digest, args[0], want)
		}
		return printPolicy(command.OutOrStdout(), s, f)
	})
	command.Long = `Import a policy pack, - for standard input.

The server compiles it first, and refuses one that does not compile or uses a function
whose result is not the same at any time and place, with file and line. Its version is
the revision of its .manifest. Importing the same pack under the same name again changes
nothing; the same name and version with other bytes is refused.

` + exitCodesHelp
	command.Flags().StringVar(&name, "name", "", "what the snapshot is called: 3 to 64 lower-case letters, digits and inner hyphens")
	command.Flags().StringVar(&description, "description", "", "a line for people")
	f = addFormat(command)
	return command
}

func policyDownloadCommand(c *connection) *cobra.Command {
	var output string
	command := leaf("download SNAPSHOT", "Write a policy pack to a file, as it was imported", oneSnapshot, func(command *cobra.Command, args []string) error {
		if output == "" {
			return inputErrorf("name a file with --output FILE")
		}
		opened, err := c.open()
		if err != nil {
			return err
		}
		pack, err := opened.PolicyPack(command.Context(), args[0])
		if err != nil {
			return err
		}
		return writeAtomically(output, func(w io.Writer) error {
			_, err := w.Write(pack)
			return err
		})
	})
	command.Flags().StringVar(&output, "output", "", "`FILE` to write")
	return command
}

func policyArchiveCommand(c *connection) *cobra.Command {
	var f *format
	command := leaf("archive SNAPSHOT", "Keep a policy snapshot from making new runs", oneSnapshot, func(command *cobra.Command, args []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		archived, err := opened.ArchivePolicySnapshot(command.Context(), args[0])
		if err != nil {
			return err
		}
		return printPolicy(command.OutOrStdout(), archived, f)
	})
	f = addFormat(command)
	return command
}

package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/internal/clock"
)

func exportProfileCommand(c *connection) *cobra.Command {
	command := group("profile", "Profiles: what kinds of bundles are made, and how",
		`Profiles say what kind of bundle a run makes. A profile file is YAML:

  apiVersion: stellaops.io/export.v1
  kind: ExportProfile
  metadata:
    name: nightly
    labels: {team: red}
  spec:
    kind: json
    variant: raw
    include: [advisories, vex]

A change of spec makes a new revision; runs keep the one they were made with.

`+exitCodesHelp)
	command.AddCommand(profileListCommand(c), profileShowCommand(c), profileCreateCommand(c), profileUpdateCommand(c), profileArchiveCommand(c))
	return command
}

func profileListCommand(c *connection) *cobra.Command {
	var kind, variant, archived, cursor string
	var limit int
	var f *format
	command := leaf("list", "List profiles by name", cobra.NoArgs, func(command *cobra.Command, _ []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		params := client.ListProfilesParams{Limit: &limit}
		for _, given := range []struct {
			value string
			param **string
		}{{kind, &params.Kind}, {variant, &params.Variant}, {cursor, &params.Cursor}} {
			if given.value != "" {
				*given.param = &given.value
			}
		}
		if archived != "" {
			params.Archived = (*client.ListProfilesParamsArchived)(&archived)
		}
		page, err := opened.ListProfiles(command.Context(), params)
		if err != nil {
			return err
		}
		return f.print(command.OutOrStdout(), page, func() [][]string { return profileRows(page) })
	})
	flags := command.Flags()
	flags.StringVar(&kind, "kind", "", "only profiles of this kind")
	flags.StringVar(&variant, "variant", "", "only profiles of this variant")
	flags.StringVar(&archived, "archived", "", "archived ones: exclude (default), include or only")
	flags.IntVar(&limit, "limit", 50, "at most this many, 1 to 200")
	flags.StringVar(&cursor, "cursor", "", "continue a list")
	f = addFormat(command)
	return command
}

func profileRows(page client.ProfilePage) [][]string {
	rows := [][]string{{"NAME", "KIND", "REVISION", "STATE", "ID", "DESCRIPTION"}}
	for _, p := range page.Profiles {
		state := ""
		switch {
		case p.BuiltIn:
			state = "built-in"
		case p.Archived:
			state = "archived"
		}
		rows = append(rows, []string{p.Name, p.Kind + ":" + p.Variant, strconv.Itoa(p.Revision), state, p.ID, p.Description})
	}
	if page.NextCursor != "" {
		rows = append(rows, []string{"more: --cursor " + page.NextCursor})
	}
	return rows
}

func profileShowCommand(c *connection) *cobra.Command {
	var f *format
	command := leaf("show PROFILE", "Show a profile; --format yaml gives the file that makes it", oneProfile,
		func(command *cobra.Command, args []string) error {
			opened, err := c.open()
			if err != nil {
				return err
			}
			state, err := opened.GetProfile(command.Context(), args[0])
			if err != nil {
				return err
			}
			return printProfile(command.OutOrStdout(), state.Profile, f)
		})
	f = addFormat(command)
	return command
}

// oneProfile takes one id or name; what else was typed never becomes part of a path.
func oneProfile(command *cobra.Command, args []string) error {
	if err := cobra.ExactArgs(1)(command, args); err != nil {
		return err
	}
	if strings.Trim(args[0], "abcdefghijklmnopqrstuvwxyz0123456789-:") != "" || args[0] == "" {
		return fmt.Errorf("%q is neither the id nor the name of a profile", args[0])
	}
	return nil
}

func printProfile(out io.Writer, p client.Profile, f *format) error {
	if f.yaml() {
		file, err := client.ProfileFileOf(p)
		if err != nil {
			return err
		}
		var doc yaml.Node
		if err := doc.Encode(file); err != nil {
			return fmt.Errorf("write profile file: %w", err)
		}
		return writeYAML(out, &doc)
	}
	return f.print(out, p, func() [][]string { return profileLines(p) })
}

// profileLines are the lines of "export profile show": what is known, nothing else.
func profileLines(p client.Profile) [][]string {
	rows := [][]string{{"profile", p.Name}, {"id", p.ID}, {"kind", p.Kind + ":" + p.Variant}, {"revision", strconv.Itoa(p.Revision)}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("project", p.Project)
	add("description", p.Description)
	for _, key := range sortedKeys(p.Labels) {
		add("label", key+"="+p.Labels[key])
	}
	for _, key := range sortedKeys(p.Config) {
		add("config", key+" "+compactJSON(p.Config[key]))
	}
	if !p.CreatedAt.IsZero() {
		add("revised", p.CreatedAt.UTC().Format(time.RFC3339)+" by "+p.CreatedBy)
		add("changed", p.UpdatedAt.UTC().Format(time.RFC3339)+" by "+p.UpdatedBy)
	}
	if p.Archived {
		add("archived", p.ArchivedAt.UTC().Format(time.RFC3339)+" by "+p.ArchivedBy)
	}
	return rows
}

// profileFile reads --file, and opens a client for the tenant that it names.
func (c *connection) profileFile(path string) (client.ProfileFile, *client.Client, error) {
	var f client.ProfileFile
	if path == "" {
		return f, nil, inputErrorf("--file is missing: give a profile file, - for standard input")
	}
	raw, err := readLimited(path, client.MaxProfileFile)
	if err == nil {
		f, err = client.ReadProfileFile(raw)
	}
	if err != nil {
		return f, nil, inputErrorf("--file: %s: %w", path, err)
	}
	if named := c.tenantName(); f.Metadata.Tenant != "" && named != "" && f.Metadata.Tenant != named {
		return f, nil, inputErrorf("--file: %s: metadata.tenant is %q, you work for %q", path, f.Metadata.Tenant, named)
	}
	work := *c
	work.tenant = firstOf(c.tenant, f.Metadata.Tenant)
	opened, err := work.open()
	return f, opened, err
}

// readLimited reads a file, or standard input for "-".
func readLimited(path string, limit int64) ([]byte, error) {
	in := io.Reader(os.Stdin)
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	return io.ReadAll(io.LimitReader(in, limit+1))
}

func profileCreateCommand(c *connection) *cobra.Command {
	var path, key string
	var f *format
	command := leaf("create --file FILE", "Make a profile of a file", cobra.NoArgs, func(command *cobra.Command, _ []string) error {
		file, opened, err := c.profileFile(path)
		if err != nil {
			return err
		}
		if file.Metadata.Revision != "" && file.Metadata.Revision != "r1" {
			return inputErrorf("--file: %s: metadata.revision is %s; a new profile begins with r1: take the line out", path, file.Metadata.Revision)
		}
		request, err := file.Request()
		if err != nil {
			return inputErrorf("--file: %s: %w", path, err)
		}
		made, err := opened.CreateProfile(command.Context(), request, firstOf(key, clock.NewID()))
		if err != nil {
			return err
		}
		return printProfile(command.OutOrStdout(), made.Profile, f)
	})
	command.Flags().StringVar(&path, "file", "", "profile `FILE`, - for standard input")
	command.Flags().StringVar(&key, "idempotency-key", "", "the same key and file give the same profile again")
	f = addFormat(command)
	return command
}

func profileUpdateCommand(c *connection) *cobra.Command {
	var path string
	var f *format
	command := leaf("update --file FILE", "Make a profile what a file says", cobra.NoArgs, func(command *cobra.Command, _ []string) error {
		file, opened, err := c.profileFile(path)
		if err != nil {
			return err
		}
		state, err := opened.GetProfile(command.Context(), file.Metadata.Name)
		if err != nil {
			return err
		}
		patch, err := file.Patch(state.Profile)
		if err != nil {
			return inputErrorf("--file: %s: %w", path, err)
		}
		changed, err := opened.UpdateProfile(command.Context(), state.ID, state.Tag, patch)
		if err != nil {
			return err
		}
		return printProfile(command.OutOrStdout(), changed.Profile, f)
	})
	command.Flags().StringVar(&path, "file", "", "profile `FILE`, - for standard input")
	f = addFormat(command)
	return command
}

func profileArchiveCommand(c *connection) *cobra.Command {
	var f *format
	command := leaf("archive PROFILE", "Keep a profile from making new runs", oneProfile, func(command *cobra.Command, args []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		archived, err := opened.ArchiveProfile(command.Context(), args[0], "")
		if err != nil {
			return err
		}
		return printProfile(command.OutOrStdout(), archived.Profile, f)
	})
	f = addFormat(command)
	return command
}

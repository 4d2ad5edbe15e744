package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/export"
)

// defaultServer is the address when nobody names one (CONTRACT section 24e).
const defaultServer = "https://stella.local"

// configDir is where logins and profiles are kept.
func configDir() (string, error) {
	if root := os.Getenv("STELLA_CONFIG_DIR"); root != "" {
		return root, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", inputErrorf("find your home directory: %w; set STELLA_CONFIG_DIR", err)
	}
	return filepath.Join(home, ".stella"), nil
}

// configPath names what is kept under a name. The name is a tenant's kind of name,
// so it leads nowhere else.
func configPath(kind, name, suffix string) (string, error) {
	if !export.ValidTenant(name) {
		return "", inputErrorf("context %.80q: want 1 to 63 lower-case letters, digits and inner hyphens", name)
	}
	root, err := configDir()
	return filepath.Join(root, kind, name+suffix), err
}

// chosen gives the name of the context: what was given, what the environment says,
// or "". STELLA_PROFILE is the older name of STELLA_CONTEXT.
func chosen(given string) string {
	return firstOf(given, os.Getenv("STELLA_CONTEXT"), os.Getenv("STELLA_PROFILE"))
}

// loadSettings reads ~/.stella/profiles/NAME.toml; without one nothing is set.
func loadSettings(name string) (settings, error) {
	path, err := configPath("profiles", firstOf(name, defaultContext), ".toml")
	if err != nil {
		return settings{}, err
	}
	raw, err := readOwn(path, maxSettings)
	if errors.Is(err, fs.ErrNotExist) {
		return settings{}, nil
	}
	if err != nil {
		return settings{}, err
	}
	s, err := parseSettings(raw)
	if err != nil {
		return settings{}, inputErrorf("%s: %w", path, err)
	}
	s.file = path
	return s, nil
}

// readOwn reads a file of the configuration. It says where a token goes and which
// keys are trusted, so nobody else may write it.
func readOwn(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, inputErrorf("%s is not a file", path)
	case info.Mode().Perm()&0o022 != 0:
		return nil, inputErrorf("%s can be written by others: chmod go-w %s", path, path)
	}
	return io.ReadAll(io.LimitReader(file, limit+1))
}

// checkSecret refuses a secret that lies open. One that a flag names may come from a
// place whose modes are not ours (a secret mounted into a container is readable by
// all there): about that it only warns.
func checkSecret(path string, info fs.FileInfo, ours bool, warn io.Writer) error {
	mode := info.Mode()
	switch {
	case !mode.IsRegular():
		return nil // a pipe, as of <(command)
	case mode.Perm()&0o022 != 0:
		return inputErrorf("%s holds a secret and can be written by others: chmod 600 %s", path, path)
	case mode.Perm()&0o044 != 0 && ours:
		return inputErrorf("%s holds a secret and can be read by others: chmod 600 %s", path, path)
	case mode.Perm()&0o044 != 0:
		fmt.Fprintf(warn, "stella: warning: %s can be read by others: chmod 600 %s\n", printable(path), printable(path))
	}
	return nil
}

// offlineMode reports whether the environment or the profile forbids connections.
// What cannot be read as yes or no is refused.
func offlineMode(s settings) (bool, error) {
	text := os.Getenv("STELLA_OFFLINE")
	if text == "" {
		return s.Offline, nil
	}
	offline, err := strconv.ParseBool(text)
	if err != nil {
		return false, inputErrorf("STELLA_OFFLINE is %.40q: want true or false", text)
	}
	return offline, nil
}

// contextFlags are the flags that choose a profile and a login. --profile is the
// older name, where it does not mean an export profile.
func contextFlags(command *cobra.Command, name *string, usage string) {
	flags := command.PersistentFlags()
	flags.StringVar(name, "context", "", usage)
	flags.Var(flags.Lookup("context").Value, "profile", "older name of --context")
	_ = flags.MarkHidden("profile")
	_ = command.RegisterFlagCompletionFunc("context", completeContexts)
}

// applySettings gives the flags that nobody set what the environment or the profile
// says. It runs before every command.
func applySettings(command *cobra.Command, _ []string) error {
	flags := command.Flags()
	name := flags.Lookup("context")
	if name == nil {
		return nil
	}
	s, err := loadSettings(chosen(name.Value.String()))
	if err != nil {
		return ownCode(command, err)
	}
	if offline := flags.Lookup("offline"); offline != nil && !offline.Changed {
		said, err := offlineMode(s)
		if err != nil {
			return err
		}
		_ = offline.Value.Set(strconv.FormatBool(said))
	}
	if shown := flags.Lookup("format"); shown != nil && !shown.Changed && s.Format != "" {
		_ = shown.Value.Set(s.Format) // checked when it was read
	}
	key, trust := flags.Lookup("key"), flags.Lookup("trust")
	if trust != nil && trust.Value.String() == "" && key.Value.String() == "" && trustRoots() == "" {
		_ = trust.Value.Set(s.TrustRoots)
	}
	return nil
}

// ownCode makes err an error of the command's own table of exit codes.
func ownCode(command *cobra.Command, err error) error {
	if err != nil && command.Flags().Lookup("trust") != nil {
		return verifyUsage(err)
	}
	return err
}

package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// settings are what a configuration profile says, one per key of its file.
type settings struct {
	Server, Tenant, Login, TokenFile, Format, TrustRoots string
	Offline                                              bool
	file                                                 string // "" = there is none
}

// maxSettings bounds a profile file: there are seven keys.
const maxSettings = 64 << 10

// settingKeys are the keys of a profile file, each with what takes its value.
var settingKeys = map[string]func(*settings, string) error{
	"server":      func(s *settings, v string) error { s.Server = v; return nil },
	"tenant":      func(s *settings, v string) error { s.Tenant = v; return nil },
	"login":       func(s *settings, v string) error { s.Login = v; return nil },
	"token_file":  func(s *settings, v string) error { s.TokenFile = v; return nil },
	"trust_roots": func(s *settings, v string) error { s.TrustRoots = v; return nil },
	"format": func(s *settings, v string) error {
		s.Format = v
		return new(format).Set(v)
	},
	"offline": func(s *settings, v string) (err error) {
		if s.Offline, err = strconv.ParseBool(v); err != nil {
			return errors.New("want true or false")
		}
		return nil
	},
}

// parseSettings reads a profile file: the part of TOML 1.0 that has a key and a
// string or a boolean on each line, and comments. What it does not know it refuses
// by name and line, so that nothing is read as something else.
func parseSettings(raw []byte) (settings, error) {
	var s settings
	if len(raw) > maxSettings {
		return s, fmt.Errorf("has more than %d bytes", maxSettings)
	}
	if !utf8.Valid(raw) {
		return s, errors.New("is not UTF-8")
	}
	first := map[string]int{}
	for i, line := range strings.Split(string(raw), "\n") {
		number := i + 1
		line = strings.Trim(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, err := parseSetting(line)
		if err != nil {
			return s, fmt.Errorf("line %d: %w", number, err)
		}
		set, known := settingKeys[key]
		if !known {
			return s, fmt.Errorf("line %d: unknown key %q; the keys are %s", number, key, strings.Join(sortedKeys(settingKeys), ", "))
		}
		if first[key] > 0 {
			return s, fmt.Errorf("line %d: the key %q is there already, in line %d", number, key, first[key])
		}
		first[key] = number
		if err := set(&s, value); err != nil {
			return s, fmt.Errorf("line %d: %s: %w", number, key, err)
		}
	}
	return s, nil
}

// parseSetting reads key = "text", key = 'text' or key = true, and a comment
// behind it. Only offline is a boolean, and it is nothing else.
func parseSetting(line string) (key, value string, err error) {
	if line[0] == '[' {
		return "", "", errors.New("a profile has no tables, only lines of key = value")
	}
	key, rest, found := strings.Cut(line, "=")
	key, rest = strings.Trim(key, " \t"), strings.Trim(rest, " \t")
	if !found || key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "", "", fmt.Errorf("%.40q: want key = value", line)
	}
	if key == "offline" {
		value, _, _ = strings.Cut(rest, "#")
		value = strings.Trim(value, " \t")
		if value != "true" && value != "false" {
			return "", "", errors.New("offline: want true or false, without quotes")
		}
		return key, value, nil
	}
	value, rest, err = quoted(rest)
	if rest = strings.Trim(rest, " \t"); err == nil && rest != "" && rest[0] != '#' {
		err = fmt.Errorf("%.40q stands behind the value", rest)
	}
	if err == nil && strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		err = errors.New("the value has control characters")
	}
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", key, err)
	}
	return key, value, nil
}

// quoted reads a TOML string at the beginning of text and gives what is behind it.
func quoted(text string) (value, rest string, err error) {
	if value, found := strings.CutPrefix(text, "'"); found {
		value, rest, found = strings.Cut(value, "'")
		if !found {
			return "", "", errors.New("the closing ' is missing")
		}
		return value, rest, nil
	}
	if text == "" || text[0] != '"' {
		return "", "", errors.New(`want a value in quotes, as "text"`)
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			return b.String(), text[i+1:], nil
		case '\\':
			r, size, err := escape(text[i:])
			if err != nil {
				return "", "", err
			}
			b.WriteRune(r)
			i += size - 1
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New(`the closing " is missing`)
}

// escape reads a TOML escape, which may be what a path needs or any character.
func escape(text string) (r rune, size int, err error) {
	if len(text) > 1 {
		if at := strings.IndexByte(`\"tbnfr`, text[1]); at >= 0 {
			return rune("\\\"\t\b\n\f\r"[at]), 2, nil
		}
		if digits := map[byte]int{'u': 4, 'U': 8}[text[1]]; digits > 0 && len(text) >= 2+digits {
			code, err := strconv.ParseUint(text[2:2+digits], 16, 32)
			if err == nil && utf8.ValidRune(rune(code)) {
				return rune(code), 2 + digits, nil
			}
		}
	}
	return 0, 0, fmt.Errorf("%.10q is not an escape; write '...' for a text as it is", text)
}

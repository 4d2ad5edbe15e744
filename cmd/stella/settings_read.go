package main

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// settings are what a configuration profile says, one per key of its file.
type settings struct {
	Server     string `toml:"server"`
	Tenant     string `toml:"tenant"`
	Login      string `toml:"login"`
	TokenFile  string `toml:"token_file"`
	Format     string `toml:"format"`
	TrustRoots string `toml:"trust_roots"`
	Offline    bool   `toml:"offline"`
	file       string // "" = there is none
}

// maxSettings bounds a profile file: there are seven keys.
const maxSettings = 64 << 10

// settingKeys are the keys of a profile file, sorted.
var settingKeys = func() (keys []string) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[settings]()) {
		if key := field.Tag.Get("toml"); key != "" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}()

// parseSettings reads a profile file, which is TOML with these keys and no tables.
// What it does not know it refuses by name, so that nothing is read as something else.
func parseSettings(raw []byte) (s settings, err error) {
	if len(raw) > maxSettings {
		return s, fmt.Errorf("has more than %d bytes", maxSettings)
	}
	if err := toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields().Decode(&s); err != nil {
		return settings{}, settingsError(err)
	}
	var said map[string]any // the library takes Server for server, TOML does not
	if err := toml.Unmarshal(raw, &said); err != nil {
		return settings{}, settingsError(err)
	}
	for _, key := range sortedKeys(said) {
		if !slices.Contains(settingKeys, key) {
			return settings{}, unknownSetting(key)
		}
		if text, _ := said[key].(string); strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return settings{}, fmt.Errorf("%s: the value has control characters", key)
		}
	}
	if s.Format != "" {
		if err := new(format).Set(s.Format); err != nil {
			return settings{}, fmt.Errorf("format: %w", err)
		}
	}
	return s, nil
}

func unknownSetting(key string) error {
	return fmt.Errorf("unknown key %q; the keys are %s", key, strings.Join(settingKeys, ", "))
}

// settingsError names line and key, and not our types.
func settingsError(err error) error {
	var unknown *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		first := unknown.Errors[0]
		line, _ := first.Position()
		return fmt.Errorf("line %d: %w", line, unknownSetting(strings.Join(first.Key(), ".")))
	case errors.As(err, &bad):
		line, _ := bad.Position()
		text, _, wrongType := strings.Cut(strings.TrimPrefix(bad.Error(), "toml: "), " into struct field ")
		if key := strings.Join(bad.Key(), "."); wrongType && key == "offline" {
			text = "offline: " + text + ", want true or false without quotes"
		} else if wrongType {
			text = fmt.Sprintf("%s: %s, want a text in quotes", key, text)
		}
		return fmt.Errorf("line %d: %s", line, text)
	}
	return err
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

func (f *format) yaml() bool { return *f == "yaml" }

// machine reports whether a program reads what is printed.
func (f *format) machine() bool { return f.json() || f.yaml() }

// encode writes value for a program.
func (f *format) encode(out io.Writer, value any) error {
	if f.yaml() {
		return printYAML(out, value)
	}
	return printJSON(out, value)
}

// print writes value as the format says; rows are its table.
func (f *format) print(out io.Writer, value any, rows func() [][]string) error {
	if f.machine() {
		return f.encode(out, value)
	}
	return printTable(out, rows())
}

// printYAML writes what printJSON writes, member for member and in its order, as
// YAML. JSON is YAML: it is read as such and laid out anew.
func printYAML(out io.Writer, value any) error {
	var text strings.Builder
	if err := printJSON(&text, value); err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text.String()), &doc); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	blockStyle(&doc)
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&doc); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	return encoder.Close()
}

func blockStyle(node *yaml.Node) {
	if node.Style &^= yaml.FlowStyle; node.Kind == yaml.ScalarNode {
		node.Style = 0 // quoted again where it must be
	}
	for _, inner := range node.Content {
		blockStyle(inner)
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// compactJSON is a value on one line.
func compactJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

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
// YAML.
func printYAML(out io.Writer, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	doc, err := yamlNode(decoder)
	if err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	return writeYAML(out, doc)
}

// yamlNode reads the next value.
func yamlNode(from *json.Decoder) (*yaml.Node, error) {
	token, err := from.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: t}, nil // quoted where it must be
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: t.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatBool(t)}, nil
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: "null"}, nil
	}
	node := &yaml.Node{Kind: yaml.SequenceNode}
	if token == json.Delim('{') {
		node.Kind = yaml.MappingNode // a name is a value like others
	}
	for from.More() {
		for range map[yaml.Kind]int{yaml.SequenceNode: 1, yaml.MappingNode: 2}[node.Kind] {
			inner, err := yamlNode(from)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, inner)
		}
	}
	_, err = from.Token() // its end
	return node, err
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

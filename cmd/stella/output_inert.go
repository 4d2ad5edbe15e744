package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"

	"go.yaml.in/yaml/v3"
)

// What a program reads is shown on terminals too. Characters that drive one, or turn
// the direction of a text, are written as escapes: the value stays what it is.

// inert reports whether r may be written as it is. The replacement character stands for
// bytes that are no text.
func inert(r rune) bool { return r == '\n' || unicode.IsGraphic(r) && r != unicode.ReplacementChar }

// inertJSON escapes what is not inert in a JSON text, where it can only be inside
// strings.
func inertJSON(text string) string {
	return escaped(text, func(b *strings.Builder, r rune) {
		if first, second := utf16.EncodeRune(r); first != unicode.ReplacementChar {
			fmt.Fprintf(b, `\u%04x\u%04x`, first, second)
			return
		}
		fmt.Fprintf(b, `\u%04x`, r)
	})
}

// inertYAML does the same in a YAML text whose scalars with such characters are
// double-quoted.
func inertYAML(text string) string {
	return escaped(text, func(b *strings.Builder, r rune) {
		if r > 0xffff {
			fmt.Fprintf(b, `\U%08x`, r)
			return
		}
		fmt.Fprintf(b, `\u%04x`, r)
	})
}

func escaped(text string, write func(*strings.Builder, rune)) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !inert(r) }) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if inert(r) {
			b.WriteRune(r)
		} else {
			write(&b, r)
		}
	}
	return b.String()
}

// writeYAML lays a document out, two spaces a level.
func writeYAML(out io.Writer, doc *yaml.Node) error {
	quoteUnprintable(doc)
	var text strings.Builder
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(doc); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	_, err := io.WriteString(out, inertYAML(text.String()))
	return err
}

func quoteUnprintable(node *yaml.Node) {
	if node.Kind == yaml.ScalarNode && strings.ContainsFunc(node.Value, func(r rune) bool { return !inert(r) }) {
		node.Style = yaml.DoubleQuotedStyle
	}
	for _, inner := range node.Content {
		quoteUnprintable(inner)
	}
}

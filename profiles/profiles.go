// Package profiles says what the configuration of a profile may be: a JSON
// schema (draft 2020-12) per kind, and in words what the contract knows and
// this version does not carry out. The schemas are published as they are.
package profiles

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

//go:embed schemas/*.json
var files embed.FS

// catalogue are the kinds of CONTRACT section 1, whether or not this version
// has a schema, and so an adapter, for them.
var catalogue = []string{"json/raw", "json/policy", "trivy/db", "trivy/java-db", "mirror/full", "mirror/delta", "devportal/offline",
	"risk/bundle", "attestation/bundle", "bootstrap/bundle", "airgap-evidence/bundle"}

// compiled are the schemas by "kind/variant".
var compiled = mustCompile()

func mustCompile() map[string]*jsonschema.Schema {
	all := map[string]*jsonschema.Schema{}
	for _, label := range catalogue {
		raw, found := Schema(SchemaName(strings.Replace(label, "/", "-", 1)))
		if !found {
			continue
		}
		schema, err := compile(label, raw)
		if err != nil {
			panic(fmt.Sprintf("schema of %s: %v", label, err)) // embedded; the tests compile it
		}
		all[label] = schema
	}
	return all
}

func compile(label string, raw []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(nowhere{})
	if err := c.AddResource(label, doc); err != nil {
		return nil, err
	}
	return c.Compile(label)
}

// nowhere loads nothing: a schema stands by itself, and no packet is sent.
type nowhere struct{}

func (nowhere) Load(url string) (any, error) { return nil, fmt.Errorf("%s is not embedded", url) }

// SchemaName is the file name of a schema: "json-raw.json".
func SchemaName(kindAndVariant string) string { return kindAndVariant + ".json" }

// Schema gives a schema's text as it is published.
func Schema(name string) ([]byte, bool) {
	if strings.ContainsAny(name, "/\\") {
		return nil, false
	}
	file, err := files.Open("schemas/" + name)
	if err != nil {
		return nil, false
	}
	defer file.Close()
	raw, err := io.ReadAll(file)
	return raw, err == nil
}

// Served lists the kinds this version makes bundles of: "json/raw".
func Served() []string {
	var labels []string
	for _, label := range catalogue {
		if compiled[label] != nil {
			labels = append(labels, label)
		}
	}
	return labels
}

// Check reads a configuration, JSON text, of a kind and gives its one form. An
// error names the member at fault, as "config.include[0]".
func Check(kind, variant string, config []byte) (export.ProfileConfig, error) {
	var read export.ProfileConfig
	schema, err := schemaOf(kind, variant)
	if err != nil {
		return read, err
	}
	if err := bundle.UnmarshalStrict(config, &read); err != nil {
		return read, unreadable(err)
	}
	if err := notCarriedOut(read); err != nil {
		return read, err
	}
	if err := checkEncryption(read.Encryption); err != nil { // the schema would quote a secret in the wrong place
		return read, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config))
	if err != nil {
		return read, refused("config", "is not JSON")
	}
	if err := schema.Validate(doc); err != nil {
		return read, schemaError(err)
	}
	if err := read.Redaction.Validate(); err != nil {
		return read, asConfig(err)
	}
	for i, a := range read.Approvals {
		if year := a.ExpiresAt.UTC().Year(); year < 1 || year > 9999 {
			return read, refused(fmt.Sprintf("config.approvals[%d].expiresAt", i), "is outside the years 1 to 9999")
		}
	}
	return read.Normal(), nil
}

func schemaOf(kind, variant string) (*jsonschema.Schema, error) {
	label := kind + "/" + variant
	if schema := compiled[label]; schema != nil {
		return schema, nil
	}
	if slices.Contains(catalogue, label) {
		return nil, refused("kind", "kind %s is not served by this version; it serves %s", label, strings.Join(Served(), ", "))
	}
	return nil, refused("kind", "%.80q is not a kind; kinds are %s", label, strings.Join(catalogue, ", "))
}

func refused(field, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if field != "kind" {
		text = field + ": " + text
	}
	err := export.Errorf(export.CodeValidation, "%s", text)
	err.Field = field
	return err
}

// unreadable words what encoding/json says of a configuration, without the names
// of our Go types.
func unreadable(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return refused("config", "%s", strings.TrimPrefix(err.Error(), "document: "))
	}
	field := "config"
	if wrong.Field != "" {
		field += "." + wrong.Field
	}
	return refused(field, "a %s does not fit here", wrong.Value)
}

// asConfig words an error about a run's redaction as one about a profile's.
func asConfig(err error) error {
	var coded *export.Error
	if errors.As(err, &coded) {
		coded.Message = strings.Replace(coded.Message, "options.redaction", "config.redaction", 1)
		coded.Field = strings.Replace(coded.Field, "options.redaction", "config.redaction", 1)
	}
	return err
}

// maxFaults bounds the faults that one refusal names.
const maxFaults = 5

// schemaError words what the schema refuses: the members at fault, in the order
// of their names.
func schemaError(err error) error {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return refused("config", "cannot be checked")
	}
	var faults [][2]string
	printer := message.NewPrinter(language.English)
	var collect func(*jsonschema.ValidationError)
	collect = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			faults = append(faults, [2]string{place(e.InstanceLocation), e.ErrorKind.LocalizedString(printer)})
		}
		for _, cause := range e.Causes {
			collect(cause)
		}
	}
	collect(invalid)
	slices.SortFunc(faults, func(a, b [2]string) int { return strings.Compare(a[0]+a[1], b[0]+b[1]) })
	text := faults[0][1]
	for _, f := range faults[1:min(len(faults), maxFaults)] {
		text += "; " + f[0] + ": " + f[1]
	}
	return refused(faults[0][0], "%.2000s", text)
}

// place writes a JSON pointer as the members of a request are written.
func place(pointer []string) string {
	at := "config"
	for _, step := range pointer {
		if _, err := strconv.Atoi(step); err == nil {
			at += "[" + step + "]"
		} else {
			at += "." + step
		}
	}
	return at
}

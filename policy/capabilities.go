package policy

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// capabilitiesFile is what a pack may use of OPA, in the form that `opa check
// --capabilities FILE` reads: functions of their arguments alone. It is a list
// of what is allowed, so that what a later OPA adds is refused until somebody
// has looked at it. A test holds it to the names below and to OPA's own
// declarations.
//
//go:embed capabilities.json
var capabilitiesFile []byte

// Capabilities is that file.
func Capabilities() []byte { return slices.Clone(capabilitiesFile) }

// allowed are OPA's built-in functions that a pack may use. Missing, beside
// what reads the network, the clock, chance or the process:
//
//	io.jwt.*, crypto.x509.*     compare with the clock
//	json.match_schema, ...      may fetch what a schema refers to
//	time.format, time.clock,... read the machine's table of time zones
//	time.parse_ns               reads zone names by the machine's own zone
//	rego.parse_module, graphql  parsers of other languages; nothing needs them
//	bits.lsh, product           one call makes a number of gigabytes
//	graph.reachable_paths,      one call takes as long as there are paths, or
//	regex.globs_match           ways to read a pattern, and cannot be stopped
//
// What the others may make is bounded by boundFunctions.
var allowed = strings.Fields(`
abs array.concat array.flatten array.reverse array.slice assign
base64.decode base64.encode base64.is_valid base64url.decode base64url.encode base64url.encode_no_pad
bits.and bits.negate bits.or bits.rsh bits.xor
ceil concat contains count crypto.hmac.equal crypto.hmac.sha256 crypto.hmac.sha512 crypto.sha1 crypto.sha256 crypto.md5
div endswith eq equal floor format_int glob.match glob.quote_meta graph.reachable gt gte
hex.decode hex.encode indexof indexof_n internal.member_2 internal.member_3 internal.print intersection
is_array is_boolean is_null is_number is_object is_set is_string
json.filter json.is_valid json.marshal json.patch json.remove json.unmarshal
lower lt lte max min minus mul neq numbers.range numbers.range_step
object.filter object.get object.keys object.remove object.subset object.union object.union_n or and
plus print
regex.find_all_string_submatch_n regex.find_n regex.is_valid regex.match regex.replace regex.split regex.template_match
rego.metadata.chain rego.metadata.rule rem replace round
semver.compare semver.is_valid sort split sprintf startswith
strings.any_prefix_match strings.any_suffix_match strings.count strings.replace_n strings.reverse
substring sum time.parse_duration_ns time.parse_rfc3339_ns to_number
trim trim_left trim_prefix trim_right trim_space trim_suffix type_name
union units.parse units.parse_bytes upper uri.is_valid uri.parse urlquery.decode urlquery.decode_object urlquery.encode urlquery.encode_object uuid.parse
walk yaml.is_valid yaml.marshal yaml.unmarshal
`)

// capabilities is the file as OPA takes it. Whoever compiles or evaluates needs it
// first, so it also bounds the functions.
var capabilities = sync.OnceValues(func() (*ast.Capabilities, error) {
	caps, err := ast.LoadCapabilitiesJSON(strings.NewReader(string(capabilitiesFile)))
	if err != nil {
		return nil, fmt.Errorf("read our own capabilities file: %w", err)
	}
	caps.AllowNet = []string{} // nobody; absent would be everybody
	boundFunctions()
	return caps, nil
})

// refusedBuiltins are the functions OPA has and a pack may not use.
var refusedBuiltins = sync.OnceValue(func() map[string]bool {
	refused := map[string]bool{}
	for _, b := range ast.CapabilitiesForThisVersion().Builtins {
		if !slices.Contains(allowed, b.Name) {
			refused[b.Name] = true
		}
	}
	return refused
})

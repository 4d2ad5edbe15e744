package policy

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
)

// decideBy asks a pack whose rule has the reason, beside what else it declares.
func decideBy(t *testing.T, reason, more string) (Decision, error) {
	t.Helper()
	p, err := ReadPack(rulePack(t, "package stellaops.policy\n\ndecision := {\"action\": \"allow\", \"reason\": "+reason+", \"rules\": [\"a\"]}\n"+more))
	require.NoError(t, err, reason)
	e, err := newEngine(t.Context(), p)
	require.NoError(t, err)
	return e.decide(t.Context(), "F-1", []byte(`{"a":1}`))
}

// doubled declares x0 to x<count>, each holding the one before twice.
func doubled(count int, first, twice string) string {
	out := "x0 := " + first + "\n"
	for n := 1; n <= count; n++ {
		out += strings.NewReplacer("NEW", "x"+strconv.Itoa(n), "OLD", "x"+strconv.Itoa(n-1)).Replace("NEW := " + twice + "\n")
	}
	return out
}

// What one call would make is bounded before it is made: such a pack fails, soon
// and in little memory.
func TestACallThatWouldMakeTooMuch(t *testing.T) {
	kilobyte := doubled(10, `"abcdefgh"`, `concat("", [OLD, OLD])`)
	pairs := doubled(60, `"a"`, `[OLD, OLD]`)
	for name, c := range map[string]struct{ reason, more, want string }{
		"a text":              {`substring(x40, 0, 5)`, doubled(40, `"abcdefgh"`, `concat("", [OLD, OLD])`), "concat: "},
		"texts in a list":     {`concat("", [concat("", [x10, sprintf("%d", [n])]) | some n in numbers.range(1, 100000)])`, kilobyte, "functions may make"},
		"a list":              {`sprintf("%d", [count(x40)])`, doubled(40, `[1]`, `array.concat(OLD, OLD)`), "array.concat: "},
		"replace":             {`replace(x10, "a", concat("", [x10, x10]))`, doubled(10, `"aaaaaaaa"`, `concat("", [OLD, OLD])`), "replace: functions may make"},
		"replace_n":           {`strings.replace_n({"a": x10}, x10)`, kilobyte, "strings.replace_n: functions may make"},
		"regex.replace":       {`regex.replace(x10, "a", x10)`, kilobyte, "regex.replace: functions may make"},
		"a width":             {`sprintf("%1000000d", [1])`, "", "wider than"},
		"a width of a width":  {`sprintf("%*d", [1000000, 1])`, "", "from an argument"},
		"a named argument":    {`sprintf("%[1]s%[1]s", ["a"])`, "", "names one"},
		"a range":             {`sprintf("%d", [count(numbers.range(1, 1000000000000))])`, "", "numbers.range: the range"},
		"a range in steps":    {`sprintf("%d", [count(numbers.range_step(1, 1e30, 5))])`, "", "numbers.range_step: the range"},
		"a number":            {`sprintf("%d", [x40])`, doubled(40, `10`, `OLD * OLD`), "mul: a number has"},
		"a fraction":          {`sprintf("%d", [x40])`, doubled(40, `0.3`, `OLD * OLD`), "mul: a number has"},
		"pairs as JSON":       {`json.marshal(x60)`, pairs, "json.marshal: is given"},
		"pairs as YAML":       {`yaml.marshal(x60)`, pairs, "yaml.marshal: is given"},
		"pairs as text":       {`sprintf("%v", [x60])`, pairs, "sprintf: is given"},
		"pairs compared":      {`"a"`, pairs + "y if x60 < [x59, x60]\n" + "decision := x60 if y\n", ""},
		"pairs as a decision": {`x60`, pairs, "json.marshal: is given"},
	} {
		begun := time.Now()
		_, err := decideBy(t, c.reason, c.more)
		if c.want == "" {
			c.want = "F-1"
		}
		if assert.ErrorContains(t, err, c.want, name) {
			assert.Equal(t, export.CodePolicySnapshot, export.CodeOf(err), name)
			assert.Contains(t, err.Error(), "F-1", name)
		}
		assert.Less(t, time.Since(begun), 5*time.Second, name)
	}
}

// What packs do with the same functions is left as it is.
func TestCallsWithinBounds(t *testing.T) {
	for reason, want := range map[string]string{
		`sprintf("%s is %5.1f%%, %-4d|%v", ["a", 12.345, 7, [1, "x"]])`:                       `a is  12.3%, 7   |[1, "x"]`,
		`concat(", ", [sprintf("%d", [n]) | some n in numbers.range(1, 5)])`:                  "1, 2, 3, 4, 5",
		`strings.replace_n({"a": "bb", "c": "d"}, regex.replace("acca", "c+", "<$0>"))`:       "bb<dd>bb",
		`replace("a-b-c", "-", "--")`:                                                         "a--b--c",
		`json.marshal({"a": [1e30, numbers.range_step(1, 10, 4)]})`:                           `{"a":[1e30,[1,5,9]]}`,
		`sprintf("%d", [count({n | some n in numbers.range(1, 50000); n % 2 == 0})])`:         "25000",
		`sprintf("%d", [sum([round(to_number("1e2")), floor(1.5), ceil(1.5), abs(-3)])])`:     "106",
		`upper(object.get({"a": "x"}, "a", "none"))`:                                          "X",
		`sprintf("%v", [[object.get({"a": numbers.range(1, 100)}, "a", [])[99], count([])]])`: "[100, 0]",
	} {
		d, err := decideBy(t, reason, "")
		require.NoError(t, err, reason)
		require.Equal(t, want, d.Reason)
	}
}

// Numbers that take gigabytes to write are no numbers of a pack.
func TestNumbersOfPacks(t *testing.T) {
	for _, rule := range []string{"x := floor(1e600000000)\n", "x := 1e600000000\n", "x := -1e-600000000\n"} {
		_, err := ReadPack(rulePack(t, goodRule+rule))
		require.ErrorContains(t, err, "rules.rego:4", rule)
	}
	for _, reason := range []string{`sprintf("%d", [to_number("1e600000000")])`, `sprintf("%d", [floor(json.unmarshal("1e600000000"))])`, `sprintf("%d", [floor(yaml.unmarshal("a: 1e600000000").a)])`, `sprintf("%d", [units.parse("1e600000000")])`, `sprintf("%d", [units.parse("1e99999")])`} {
		begun := time.Now()
		_, err := decideBy(t, reason, "")
		require.ErrorContains(t, err, "the pack failed", reason)
		require.Less(t, time.Since(begun), 2*time.Second, reason)
	}
	_, err := ReadPack(rulePack(t, goodRule, entry{"data.json", `{"a":1e600000000}`}))
	require.ErrorContains(t, err, "data.json")
}

// A pack may decide by what its rules' annotations say, as everywhere in OPA.
func TestMetadataOfRules(t *testing.T) {
	d, err := decideBy(t, "why", "\n# METADATA\n# title: by its title\n# custom:\n#   severity: high\nwhy := sprintf(\"%s, %s\", [r.title, rego.metadata.chain()[0].annotations.custom.severity]) if {\n\tr := rego.metadata.rule()\n}\n")
	require.NoError(t, err)
	require.Equal(t, "by its title, high", d.Reason)
}

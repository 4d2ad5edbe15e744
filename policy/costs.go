package policy

import (
	"context"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// What built-in functions may make for one decision. OPA ends a decision between
// two calls, hardly ever inside one, and memory that is not there ends the whole
// process; so what a call can make is bounded before it is made.
const (
	maxMade   = 64 << 20  // bytes of texts, and of places in lists, by all calls
	maxGiven  = 16 << 20  // bytes of what one call is given, written out
	maxDigits = 1000      // of a number that is made
	maxRange  = 1_000_000 // numbers in a range
	maxWidth  = 999       // of a verb of sprintf
	perValue  = 16        // bytes of a value's place in a list
)

// spent is what the calls of one decision made so far. A decision is made by one
// goroutine.
type spent struct{ bytes int }

type spentKey struct{}

// withBudget begins the account of one decision.
func withBudget(ctx context.Context) context.Context {
	return context.WithValue(ctx, spentKey{}, new(spent))
}

// boundFunctions puts the bounds around OPA's functions, once for the process and
// before anything is compiled: OPA has one table of them. All are given their
// context, because the account is in it.
func boundFunctions() {
	for _, name := range allowed {
		if f := topdown.GetBuiltin(name); f != nil {
			topdown.RegisterBuiltinFunc(name, bounded(name, f))
			ast.BuiltinMap[name].CanSkipBctx = false
		}
	}
}

func bounded(name string, f topdown.BuiltinFunc) topdown.BuiltinFunc {
	return func(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
		account, ok := bctx.Context.Value(spentKey{}).(*spent)
		if !ok {
			return f(bctx, operands, iter) // not a decision of a pack
		}
		halt := func(format string, args ...any) error {
			return topdown.Halt{Err: &topdown.Error{Code: topdown.BuiltinErr, Location: bctx.Location, Message: name + ": " + fmt.Sprintf(format, args...)}}
		}
		most, err := foreseen(name, operands)
		if err != nil {
			return halt("%v", err)
		}
		if most > maxMade-account.bytes {
			return halt("functions may make at most %d bytes for one decision", maxMade)
		}
		return f(bctx, operands, func(result *ast.Term) error {
			if result == nil {
				return iter(nil)
			}
			if number, ok := result.Value.(ast.Number); ok && !small(string(number)) {
				return halt("a number has more than %d digits", maxDigits)
			}
			if account.bytes += made(name, result.Value); account.bytes > maxMade {
				return halt("functions may make at most %d bytes for one decision", maxMade)
			}
			return iter(result)
		})
	}
}

// small reports whether a number has at most maxDigits, zeros of its exponent
// included: reading 1e-1000000 takes time by the square of that.
func small(number string) bool {
	at := strings.IndexAny(number, "eE")
	if at < 0 {
		return len(number) <= maxDigits
	}
	exponent, err := strconv.Atoi(number[at+1:])
	return err == nil && at+max(exponent, -exponent) <= maxDigits
}

// finders give what is there already, or look at its surface only.
var finders = map[string]bool{
	"object.get": true, "count": true, "type_name": true,
	"is_array": true, "is_boolean": true, "is_null": true, "is_number": true, "is_object": true, "is_set": true, "is_string": true,
}

// made is about how many bytes a result takes.
func made(name string, result ast.Value) int {
	if finders[name] {
		return 0
	}
	switch value := result.(type) {
	case ast.String:
		return len(value)
	case ast.Number:
		return len(value)
	case *ast.Array:
		return perValue * value.Len()
	case ast.Set:
		return perValue * value.Len()
	case ast.Object:
		return 2 * perValue * value.Len()
	}
	return 0
}

// foreseen is at most how many bytes a call will make beyond what it is given,
// where that is not in proportion.
func foreseen(name string, operands []*ast.Term) (int, error) {
	if finders[name] {
		return 0, nil
	}
	given := 0
	for _, operand := range operands {
		if given += written(operand.Value, maxGiven-given); given > maxGiven {
			return 0, fmt.Errorf("is given more than %d bytes", maxGiven)
		}
	}
	text := func(n int) int { s, _ := operands[n].Value.(ast.String); return len(s) }
	switch name {
	case "concat":
		return given + length(operands[1].Value)*text(0), nil
	case "replace", "strings.replace_n", "regex.replace":
		// At most one replacement for each byte and one behind the last. One that
		// names groups writes the text itself again, once for each name.
		s, by := text(0), text(2)
		if name == "strings.replace_n" {
			s, by = text(1), longest(operands[0].Value)
		}
		return s + 2*(s+1)*by, nil
	case "sprintf":
		s, _ := operands[0].Value.(ast.String)
		widths, err := widthsOf(string(s))
		return 4*given + widths, err
	case "json.marshal", "yaml.marshal":
		return 2 * given, nil
	case "numbers.range", "numbers.range_step":
		return 0, checkRange(operands)
	}
	return 0, nil
}

// written is how many bytes a value has when it is written out, more than most
// when it is more than that. A value may hold another many times, so that a
// small one is endless when written.
func written(v ast.Value, most int) int {
	total := perValue
	add := func(part *ast.Term) bool {
		if total <= most {
			total += written(part.Value, most-total)
		}
		return total > most
	}
	switch value := v.(type) {
	case ast.String:
		total += len(value)
	case ast.Number:
		total += len(value)
	case *ast.Array:
		value.Until(add)
	case ast.Set:
		value.Until(add)
	case ast.Object:
		value.Until(func(key, member *ast.Term) bool { return add(key) || add(member) })
	}
	return total
}

func length(v ast.Value) int {
	if list, ok := v.(interface{ Len() int }); ok {
		return list.Len()
	}
	return 0
}

// longest is the length of the longest text among an object's values.
func longest(v ast.Value) (most int) {
	if object, ok := v.(ast.Object); ok {
		object.Foreach(func(_, member *ast.Term) {
			s, _ := member.Value.(ast.String)
			most = max(most, len(s))
		})
	}
	return most
}

// widthsOf adds up the widths and precisions in a format. Those from arguments
// are refused, and so are arguments that are named, since one can be written
// again and again.
func widthsOf(format string) (total int, err error) {
	for {
		_, after, found := strings.Cut(format, "%")
		if !found {
			return total, nil
		}
		verb := strings.TrimLeft(after, "+-# 0123456789.*[]")
		marks := after[:len(after)-len(verb)]
		if strings.ContainsAny(marks, "*[") {
			return 0, fmt.Errorf("a verb %%%.20s takes its width from an argument or names one", marks)
		}
		for _, digits := range strings.FieldsFunc(marks, func(r rune) bool { return r < '0' || r > '9' }) {
			n, ok := new(big.Int).SetString(digits, 10)
			if !ok || !n.IsInt64() || n.Int64() > maxWidth {
				return 0, fmt.Errorf("a verb %%%.20s is wider than %d", marks, maxWidth)
			}
			total += int(n.Int64())
		}
		if format = verb; strings.HasPrefix(verb, "%") {
			format = verb[1:] // %%
		}
	}
}

// checkRange refuses a range of too many numbers, whatever its step.
func checkRange(operands []*ast.Term) error {
	from, isFrom := operands[0].Value.(ast.Number)
	to, isTo := operands[1].Value.(ast.Number)
	if !isFrom || !isTo {
		return nil // the function says so
	}
	a, _, errA := new(big.Float).Parse(string(from), 10)
	b, _, errB := new(big.Float).Parse(string(to), 10)
	if errA != nil || errB != nil {
		return nil
	}
	if distance := a.Sub(a, b); distance.Abs(distance).Cmp(big.NewFloat(maxRange)) >= 0 {
		return fmt.Errorf("the range has more than %d numbers", maxRange)
	}
	return nil
}

package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// entryPoint is the rule that decides.
const entryPoint = "data.stellaops.policy.decision"

// maxErrors bounds how many mistakes of a pack are told at once.
const maxErrors = 10

// compile parses and compiles the modules, against our capabilities only.
func (p *Pack) compile() (*ast.Compiler, error) {
	caps, err := capabilities()
	if err != nil {
		return nil, err
	}
	modules := make(map[string]*ast.Module, len(p.modules))
	for _, m := range p.modules {
		parsed, err := ast.ParseModuleWithOpts(m.name, m.text, ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: caps})
		if err != nil {
			return nil, refused("%s", told(err))
		}
		if parsed == nil {
			return nil, refused("%s: has no package", m.name)
		}
		if err := checkBuiltins(parsed); err != nil {
			return nil, err
		}
		modules[m.name] = parsed
	}
	compiler := ast.NewCompiler().WithCapabilities(caps).WithDefaultRegoVersion(ast.RegoV1).
		WithEnablePrintStatements(false).SetErrorLimit(maxErrors).WithPathConflictsCheck(p.hasData)
	if compiler.Compile(modules); compiler.Failed() {
		return nil, refused("%s", told(compiler.Errors))
	}
	if len(compiler.GetRulesExact(ast.MustParseRef(entryPoint))) == 0 {
		return nil, refused("no rule is %s; decide in a rule named decision of package stellaops.policy", entryPoint)
	}
	return compiler, nil
}

// hasData reports whether the pack's data has a value at a path, where a
// package of the same path would hide it.
func (p *Pack) hasData(path []string) (bool, error) {
	var at any = p.data
	for _, step := range path {
		members, ok := at.(map[string]any)
		if !ok {
			return false, nil
		}
		if at, ok = members[step]; !ok {
			return false, nil
		}
	}
	return true, nil
}

// checkBuiltins refuses a module that names a function which is not allowed, in
// a call or as what `with` replaces, before the compiler says that it is
// undefined: whoever wrote it is to know that it exists and is not taken.
func checkBuiltins(module *ast.Module) (err error) {
	note := func(at *ast.Location, name string) {
		if err == nil && refusedBuiltins()[name] {
			err = refused("%s:%d: %s is not allowed: a decision may depend on nothing but its input and the pack, and must end, so that it can be replayed", at.File, at.Row, name)
		}
	}
	ast.WalkTerms(module, func(term *ast.Term) bool {
		switch value := term.Value.(type) {
		case ast.Ref:
			note(term.Location, value.String())
		case ast.Call:
			note(term.Location, value[0].String())
		}
		return false
	})
	ast.WalkExprs(module, func(expr *ast.Expr) bool {
		if expr.IsCall() {
			note(expr.Location, expr.Operator().String())
		}
		return false
	})
	return err
}

// told writes OPA's errors on one line each: file:line: what.
func told(err error) string {
	var list ast.Errors
	if !errors.As(err, &list) {
		return err.Error()
	}
	lines := make([]string, 0, len(list))
	for _, e := range list {
		line := strings.ReplaceAll(e.Message, "\n", " ")
		if e.Location != nil {
			line = fmt.Sprintf("%s:%d: %s", e.Location.File, e.Location.Row, line)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

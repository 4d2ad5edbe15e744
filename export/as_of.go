package export

import "strconv"

// Past reports whether the run was asked for as of a moment: a sequence, or a mirror's.
// Its bundle is an answer about then: it is not the published one of its profile, and
// nothing is held against it.
func (r Run) Past() bool { return r.Options.AsOf != 0 || r.Options.MirrorRunID != "" }

// Attributes are what the platform is told of a run beside its states: that it is of the
// past, so that nobody who follows runs takes its bundle for news. nil of any other.
func (r Run) Attributes() map[string]string {
	if !r.Past() {
		return nil
	}
	attributes := map[string]string{}
	if r.Options.AsOf != 0 {
		attributes["asOf"] = strconv.FormatInt(r.Options.AsOf, 10)
	}
	if r.Options.MirrorRunID != "" {
		attributes["mirrorRunId"] = r.Options.MirrorRunID
	}
	return attributes
}

// CheckAsOf says why the run cannot be made as of the sequence that its options name.
// head is the last sequence of its tenant's ledger.
func (r Run) CheckAsOf(head int64) error {
	asOf := r.Options.AsOf
	var err *Error
	switch {
	case asOf == 0:
		return nil
	case r.Kind == "mirror":
		err = Errorf(CodeValidation, "options.asOf: a mirror is published as its tenant's next generation, and the past published as news is a rollback; "+
			"leave it out, or export json:raw as of then")
	case r.Reach != nil || len(r.Selectors.OtherTenants(r.Tenant)) > 0:
		err = Errorf(CodeValidation, "options.asOf: a sequence is of one tenant's ledger, and the run reads several; leave it out, or the other tenants")
	case asOf < 1:
		err = Errorf(CodeValidation, "options.asOf: %d is no sequence; the ledger begins at 1", asOf)
	case asOf > head:
		err = Errorf(CodeValidation, "options.asOf: the ledger has no sequence %d yet; its last is %d", asOf, head)
	default:
		return nil
	}
	err.Field = "options.asOf"
	return err
}

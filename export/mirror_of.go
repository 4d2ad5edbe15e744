package export

import (
	"encoding/json"
	"reflect"
)

// CheckMirror says why a run cannot belong to the mirror that its options name. All that
// the run takes must be in the mirror, as of the same moment: so whoever has the mirror
// can build the run again. Members of selectors narrow each other, so a run takes a part
// of a mirror when it repeats each member that the mirror has.
func (r Run) CheckMirror(mirror Run) error {
	refuse := func(format string, args ...any) error {
		err := Errorf(CodeValidation, "options.mirrorRunId: "+format, args...)
		err.Field = "options.mirrorRunId"
		return err
	}
	switch {
	case !IsFullMirror(mirror.Kind, mirror.Variant):
		return refuse("run %s is of kind %s:%s, and no mirror", mirror.ID, mirror.Kind, mirror.Variant)
	case r.Kind == "mirror":
		return refuse("a mirror stands for itself; leave it out")
	case mirror.State != StateSucceeded:
		return refuse("mirror %s is %s; name one that succeeded", mirror.ID, mirror.State)
	case mirror.Project != r.Project:
		return refuse("mirror %s is of another project", mirror.ID)
	case r.Reach != nil || len(r.Selectors.OtherTenants(r.Tenant)) > 0:
		return refuse("a mirror has the evidence of one tenant, and the run reads that of others")
	case r.Options.AsOf != 0:
		return refuse("the run reads as of the mirror's moment; leave options.asOf out")
	case r.Selectors.TimeWindow != nil && r.Selectors.TimeWindow.Field == TimeObserved:
		return refuse("a mirror does not tell when its documents were recorded; select by the time of modification (field modifiedAt)")
	case HoldsPolicy(r.Kind, r.Variant) && r.Options.PolicySnapshotID != mirror.Options.PolicySnapshotID:
		return refuse("the mirror has policy snapshot %s, the run decides by %s; name the mirror's, or none", mirror.Options.PolicySnapshotID, r.Options.PolicySnapshotID)
	}
	own, all := membersOf(r.Selectors), membersOf(mirror.Selectors)
	if !kindsWithin(r.Selectors.Kinds, mirror.Selectors.Kinds) {
		return refuse("the run takes kinds of evidence that the mirror does not have: %v, which has %v", r.Selectors.Kinds, mirror.Selectors.Kinds)
	}
	for name, value := range all {
		if name != "kinds" && name != "projects" && !reflect.DeepEqual(own[name], value) {
			return refuse("the mirror has selectors.%s, and the run must have the same, or leave it to the mirror", name)
		}
	}
	return nil
}

// InMirror gives the selectors of a run of a mirror: where they leave a member out that
// the mirror has, they get the mirror's.
func (s Selectors) InMirror(mirror Selectors) Selectors {
	own, all := reflect.ValueOf(&s).Elem(), reflect.ValueOf(mirror)
	for i := range own.NumField() {
		if own.Field(i).IsZero() {
			own.Field(i).Set(all.Field(i))
		}
	}
	return s
}

// kindsWithin reports whether all kinds of evidence are among others; none are all.
func kindsWithin(kinds, others []string) bool {
	if len(others) == 0 {
		return true
	}
	if len(kinds) == 0 {
		return false
	}
	for _, kind := range kinds {
		found := false
		for _, other := range others {
			found = found || kind == other
		}
		if !found {
			return false
		}
	}
	return true
}

// membersOf are the members that selectors have.
func membersOf(s Selectors) map[string]any {
	var members map[string]any
	raw, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(raw, &members)
	}
	if err != nil { // selectors are texts and numbers
		panic(err)
	}
	return members
}

package export

import "slices"

// CheckEnds says why a delta cannot lie between two mirrors because of who could read
// it. A delta holds documents of both, and tells of all that differ: where a mirror
// leaves encrypted, the delta does too, and for nobody whom the mirror is not for.
func (r Run) CheckEnds(base, target Run) error {
	for _, end := range []struct {
		field  string
		mirror Run
	}{{"options.baseRunId", base}, {"options.targetRunId", target}} {
		refuse := func(format string, args ...any) error {
			err := Errorf(CodeBaseManifest, end.field+": "+format, args...)
			err.Field = end.field
			return err
		}
		of := end.mirror.Encryption
		switch {
		case of == nil:
		case r.Encryption == nil:
			return refuse("the mirror of run %s leaves encrypted only, and a run of profile %s would put its documents into a delta in the clear; "+
				"make it with a profile of kind mirror:delta that encrypts", end.mirror.ID, r.ProfileName)
		default:
			for _, recipient := range r.Encryption.RecipientKeys {
				if !slices.Contains(of.RecipientKeys, recipient) {
					return refuse("the mirror of run %s is not for the recipient %s, who could open a delta of profile %s; "+
						"make it with a profile whose encryption.recipientKeys are all among the mirror's", end.mirror.ID, recipient, r.ProfileName)
				}
			}
		}
	}
	return nil
}

package workflows

import "github.com/stella-ops/exportcenter/activities"

// exporting names the activities of a run. It is never called: a typed nil
// pointer lets the compiler check each name that workflow code schedules.
var exporting *activities.Export

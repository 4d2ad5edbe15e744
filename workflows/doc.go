// Package workflows holds the order of the phases, their retries and their
// cancellation, and nothing else. All side effects are in package activities.
//
// Workflow code is replayed: a change that orders other activities than a
// running workflow's history is a change of protocol and needs a name
// (workflow.GetVersion) and a recorded history in testdata/histories.
package workflows

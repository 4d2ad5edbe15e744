package fault

// Point names a side effect. Names are stable: they stand in docs/torture.md
// and in the names of cases.
type Point string

// The points, by interface.
const (
	CreateRun     Point = "runs.CreateRun"
	RequestCancel Point = "runs.RequestCancel"
	Decide        Point = "runs.Decide"

	ClaimTurn Point = "dispatch.Claim"

	Import Point = "ledger.Import"

	Begin            Point = "execution.Begin"
	BeginPart        Point = "execution.BeginPart"
	Start            Point = "execution.Start"
	SavePlan         Point = "execution.SavePlan"
	SavePlaces       Point = "execution.SavePlaces"
	ForgetPacked     Point = "execution.ForgetPacked"
	SaveShards       Point = "execution.SaveShards"
	AddEvent         Point = "execution.AddEvent"
	SaveFiles        Point = "execution.SaveFiles"
	SaveManifest     Point = "execution.SaveManifest"
	KeepSignature    Point = "execution.KeepSignature"
	SaveSigned       Point = "execution.SaveSigned"
	SaveEncrypted    Point = "execution.SaveEncrypted"
	EraseCiphers     Point = "execution.EraseCiphers"
	SaveDistribution Point = "execution.SaveDistribution"
	SaveSources      Point = "execution.SaveSources"
	SaveGuard        Point = "execution.SaveGuard"
	Settle           Point = "execution.Settle"
	SaveRebuilt      Point = "execution.SaveRebuilt"
	Finish           Point = "execution.Finish"
	Pin              Point = "execution.Pin"
	PinAll           Point = "execution.PinAll"
	DropBlobs        Point = "execution.DropBlobs"
	EraseBlobs       Point = "execution.EraseBlobs"
	EraseUnrecorded  Point = "execution.EraseUnrecorded"

	Stage   Point = "objects.Stage"
	Delete  Point = "objects.Delete"
	Write   Point = "staged.Write"
	Publish Point = "staged.Publish"
	Discard Point = "staged.Discard"

	Sign Point = "signer.Sign"

	StartWorkflow   Point = "temporal.ExecuteWorkflow"
	SignalCancel    Point = "temporal.SignalWorkflow"
	SignalWithStart Point = "temporal.SignalWithStartWorkflow"

	UseProof       Point = "proofs.Use"
	Append         Point = "audit.Append"
	KeepCheckpoint Point = "notary.KeepCheckpoint"
	GiveNotice     Point = "notices.Notice"
	CreateProfile  Point = "profiles.CreateProfile"
	ChangeProfile  Point = "profiles.ChangeProfile"

	ImportSnapshot  Point = "policies.ImportSnapshot"
	ArchiveSnapshot Point = "policies.ArchiveSnapshot"

	RemoveDocuments Point = "ledger.Remove"

	RecordExport   Point = "exports.Record"
	CreateTenant   Point = "tenants.CreateTenant"
	ChangeTenant   Point = "tenants.ChangeTenant"
	SetQuotas      Point = "tenants.SetQuotas"
	OffboardTenant Point = "tenants.OffboardTenant"
)

// FrontPoints are what the API and the notary write besides runs and evidence.
func FrontPoints() []Point {
	return []Point{
		UseProof, Append, KeepCheckpoint, GiveNotice, CreateProfile, ChangeProfile, RecordExport,
		CreateTenant, ChangeTenant, SetQuotas, OffboardTenant, ImportSnapshot, ArchiveSnapshot, RemoveDocuments,
	}
}

// Points lists every point: those of the front, and the others in the order of a run.
func Points() []Point {
	return append(FrontPoints(),
		Import, CreateRun, RequestCancel, ClaimTurn, StartWorkflow, SignalCancel, SignalWithStart,
		Begin, BeginPart, Start,
		SavePlaces, SavePlan, AddEvent, PinAll, SaveShards, ForgetPacked,
		Stage, Write, Pin, Publish, Discard,
		SaveSources, SaveGuard, Decide, Settle, SaveFiles, SaveManifest, Sign, KeepSignature, SaveSigned, EraseCiphers, SaveEncrypted, SaveDistribution, SaveRebuilt,
		Finish, DropBlobs, EraseBlobs, EraseUnrecorded, Delete)
}

// Modes gives the modes that make sense at p. A file that was written, staged
// or discarded belongs to the process that was told so: there is nobody whom
// another answer could mislead, so these have no FailAfter.
func (p Point) Modes() []Mode {
	switch p {
	case Stage, Write, Discard:
		return []Mode{CrashBefore, CrashAfter, Fail, Hang, Late}
	}
	return Modes
}

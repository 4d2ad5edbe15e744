package fsck

// Kind is one way in which rows, blobs and events can diverge. Codes are a
// promise: docs/formats/fsck.md lists them, and none changes its meaning.
type Kind struct {
	Code string
	// Deep kinds are found only when bytes are read, not only counted.
	Deep bool
	// Repair says what --repair does about it, "" = nothing: then it would lose
	// evidence, a bundle, or the trace of a mistake.
	Repair string
	// Means says what is wrong; Action what to do, with RUN for the run's id.
	Means, Action string
}

// What is to be done about several kinds.
const (
	exportAgain = "Bundles of the runs that keep the blob cannot be downloaded whole. Put it back from a backup of the blob store, or make the bundles again with new runs."
	tellUs      = "This should not be possible. Keep the database as it is, look into the worker's log under the run id, and report it."
	restore     = "Restore the database from a backup. What was exported from this document since is suspect."
	auditHurt   = "Somebody has changed the record in the database, or it was restored in part. Keep the database as it is; hold an export against an earlier one (stella audit verify --earlier), and find out who could write."
	byHand      = "It takes space and does no other harm. If the database was restored from a backup, it may be of a bundle that the database does not know: restore a newer one first. Else let --repair remove the file."
)

// The kinds, in the order of the page.
var (
	blobMissing = Kind{Code: "blob-missing", Means: "a blob's row has no file", Action: exportAgain}
	blobSize    = Kind{Code: "blob-size", Means: "a blob's file has another size than its row", Action: exportAgain}
	blobBytes   = Kind{Code: "blob-bytes", Deep: true, Means: "a blob's bytes differ from its digest, or cannot be read",
		Action: "The disk has changed them, and no verifier accepts a bundle with them. Put the file back from a backup of the blob store, or remove it and make the bundles again with new runs: while it is there, a run that needs the same bytes takes these. Check the disk."}
	blobUnrecorded = Kind{Code: "blob-unrecorded", Repair: "removes the file", Means: "a blob's file has no row", Action: byHand}
	blobUnneeded   = Kind{Code: "blob-unneeded", Repair: "removes row and file", Means: "a blob's row is kept by no run",
		Action: "It takes space and does no other harm. If bundle entries need it, make the bundles that are named again; else let --repair remove it."}
	blobDeleting = Kind{Code: "blob-deleting", Repair: "destroys the blob", Means: "a blob is still marked for deletion long after its run ended",
		Action: "Its run could not finish destroying it, and no run can store these bytes meanwhile. See that a worker runs, and look for run RUN in its log and in Temporal; or let --repair destroy it."}
	pinLeft = Kind{Code: "pin-left", Repair: "destroys what the run kept", Means: "a run that ended without a bundle still keeps blobs",
		Action: "Its workflow did not finish destroying them. See that a worker runs, and look for run RUN in its log and in Temporal; or let --repair destroy them."}
	entryLost  = Kind{Code: "entry-lost", Means: "a bundle entry, a packed shard or a plan has no blob row, or one of another size", Action: exportAgain}
	stagedLeft = Kind{Code: "staged-left", Repair: "removes the file", Means: "a file that was being written has not been touched for long",
		Action: "Its writer died. The next start of an api or a worker removes it, and so does --repair."}
	fileForeign = Kind{Code: "file-foreign", Means: "the blob store's directory holds something that the store did not make",
		Action: "Find out who put it there, and take it away."}
	namespaceUnknown = Kind{Code: "namespace-unknown", Means: "a namespace of the blob store belongs to no tenant of the database",
		Action: "The database is older than the blobs, or of another installation. Compare database and blobs.dir of the configuration before anything is removed."}

	packedLost = Kind{Code: "packed-lost", Repair: "forgets it", Means: "what was packed of a shard is kept for later runs, without its blob or with another size",
		Action: "It is never taken over without its blob, and does no harm while there is none. Let --repair forget it: the next run packs the shard again."}
	placesDiffer = Kind{Code: "places-differ", Deep: true, Means: "the places that are kept of a shard's documents are not those of its documents",
		Action: "Runs that pack the shard fail (ERR_EXPORT_016), and none gives wrong evidence. Restore the database from a backup, or have its owner delete the shard's row from export_shards: then the places are looked up again."}

	journalGap      = Kind{Code: "journal-gap", Means: "a run's events do not count from 1 without a gap", Action: tellUs}
	journalCounter  = Kind{Code: "journal-counter", Repair: "raises the counter of a run that has not ended", Means: "a run's event counter differs from its last event", Action: tellUs}
	endEvents       = Kind{Code: "end-events", Means: "a run has not exactly the one event of its end", Action: tellUs}
	untold          = Kind{Code: "untold", Means: "the timeline was not told of a transition", Action: tellUs}
	toldFalsely     = Kind{Code: "told-falsely", Means: "the timeline was told of a transition that did not happen", Action: tellUs}
	outboxDiffers   = Kind{Code: "outbox-differs", Means: "what the timeline is told differs from the run: its id, its place in the journal, or what it is about", Action: tellUs}
	progressDiffers = Kind{Code: "progress-differs", Repair: "counts again", Means: "a run's progress differs from its shards",
		Action: "No bundle depends on it. Let --repair count again."}
	queueCounter = Kind{Code: "queue-counter", Repair: "raises the counter", Means: "a tenant's queue counts fewer requests than its runs have numbers",
		Action: "Later runs would overtake those that wait. Let --repair raise the counter."}
	runLost = Kind{Code: "run-lost", Means: "a tenant's queue gave out more numbers than there are runs",
		Action: "A run that was accepted is not there, or two have one number. Restore the database from a backup, and report it."}
	queueOver = Kind{Code: "queue-over", Means: "more runs of a tenant are at work than may be",
		Action: "When exports.activeRuns was lowered, they are fewer as soon as some have ended. Else see that api, worker and fsck read the same configuration, and report it."}
	usageDiffers = Kind{Code: "usage-differs", Repair: "counts again", Means: "what is kept of a tenant's or a profile's use of its quotas differs from its runs",
		Action: "Requests are refused too early or too late. Let --repair count again, and report it."}
	profileOver = Kind{Code: "profile-over", Means: "more runs of a profile are at work than any of their revisions allows",
		Action: "See that api and worker are of one version, and report it. They are fewer as soon as some have ended."}
	runStuck = Kind{Code: "run-stuck", Means: "a run has neither ended nor given a sign of life for long",
		Action: "See that a worker runs. If the run does not go on, cancel it: stella export cancel RUN"}
	guardMissing = Kind{Code: "guard-missing", Means: "a run waits, or waited, for an approval, and there is no report that says why",
		Action: "Nobody can know what would be approved: stella export cancel RUN, ask for a new run, and report it."}
	archiveMissing = Kind{Code: "archive-missing", Means: "a run succeeded without the digest of its archive",
		Action: "Do not hand out its bundle; make it again with a new run, and report it."}
	distributionMissing = Kind{Code: "distribution-missing", Means: "a run succeeded and its archive was delivered nowhere",
		Action: "Do not hand out its bundle; make it again with a new run, and report it."}
	sealMissing = Kind{Code: "seal-missing", Means: "a run succeeded without a seal in its bundle",
		Action: "No verifier accepts its bundle; make it again with a new run, and report it."}

	headDiffers     = Kind{Code: "head-differs", Means: "a ledger's head differs from its greatest sequence", Action: "Restore the database from a backup: later imports would give out numbers twice, or runs would not see the newest documents."}
	observationLost = Kind{Code: "observation-lost", Means: "a ledger has fewer observations and removals than it gave out numbers", Action: "Restore the database from a backup: documents are missing from the ledger."}
	contentMissing  = Kind{Code: "content-missing", Means: "an observation's document is not there",
		Action: "Restore the database from a backup. Runs that select the document fail until then."}
	overtakenDiffers = Kind{Code: "overtaken-differs", Deep: true, Means: "the ledger says wrongly when a revision or a removal was overtaken by a greater one",
		Action: "Restore the database from a backup. What was exported since may have an old revision, or lack a document."}
	termsBytes = Kind{Code: "terms-bytes", Deep: true, Means: "a page of what documents can be selected by cannot be read, or its row names other terms than it has",
		Action: "Restore the database from a backup. Runs that select by these terms fail until then, or would find fewer documents."}
	termsDiffer = Kind{Code: "terms-differ", Deep: true, Means: "what documents can be selected by is not what they have",
		Action: "Restore the database from a backup. What was selected by products, ecosystems or aliases since may lack documents, or have others."}
	documentBytes     = Kind{Code: "document-bytes", Deep: true, Means: "a document's original bytes differ from its digest", Action: restore}
	documentCanonical = Kind{Code: "document-canonical", Deep: true, Means: "a document's canonical form is not that of its original bytes", Action: restore}
)

// The kinds of what came after the first exports: profiles, plans, reports, audit
// records, tenants that leave.
var (
	profileMissing   = Kind{Code: "profile-missing", Means: "a run has a revision of a profile that is not there", Action: "Restore the database from a backup: a revision is never deleted. The run's bundle is what it says; how it was configured is lost."}
	profileRevisions = Kind{Code: "profile-revisions", Means: "a profile's revisions do not count from 1 to its newest", Action: "Restore the database from a backup: a revision is never deleted, and report it."}
	snapshotMissing  = Kind{Code: "snapshot-missing", Means: "a run decides by a policy snapshot that is not there", Action: "Restore the database from a backup: a policy snapshot is never deleted. A finished run's bundle has its pack in data/policy/pack.tar.gz."}
	packBytes        = Kind{Code: "pack-bytes", Deep: true, Means: "a policy pack's bytes differ from its digest",
		Action: "Runs that decide by it fail, and none decides by other rules. Restore the database from a backup; the pack is also in the bundle of every run that decided by it, in data/policy/pack.tar.gz."}
	planDiffers = Kind{Code: "plan-differs", Means: "the last plan of a selection is said to be of another moment, or another project, than its run",
		Action: "The next run of this selection may lack documents, or have others. Restore the database from a backup, or have its owner delete the selection's row from export_plans: then the next run plans anew."}
	reportMissing = Kind{Code: "report-missing", Means: "a run has ended, later than others that were reported, and its end was not reported to the Findings Ledger",
		Action: "Nothing is wrong when a worker of an older release ended it (docs/upgrade.md). Else keep the database as it is, and report it."}
	reportDiffers = Kind{Code: "report-differs", Means: "what was reported of a run is not how it ended, or there is no such run", Action: tellUs}
	reportUntold  = Kind{Code: "report-untold", Means: "a report of an export has no event in the outbox, or cannot be read", Action: tellUs}
	noticeDiffers = Kind{Code: "notice-differs", Means: "an event that is about no run says another id, tenant or type than its row", Action: tellUs}

	attestationMissing = Kind{Code: "attestation-missing", Means: "a bundle, younger than others that are attested, is not",
		Action: "Nothing is wrong when a worker of an older release signed it (docs/upgrade.md). Else make the bundle again with a new run, and report it."}
	attestationDiffers = Kind{Code: "attestation-differs", Means: "an attestation is not about its run's archive, or cannot be read",
		Action: "Do not hand out the attestation of run RUN; make the bundle again with a new run, and report it."}

	auditGap        = Kind{Code: "audit-gap", Means: "an audit record does not count from 1 to its end without a gap", Action: auditHurt}
	auditChanged    = Kind{Code: "audit-changed", Deep: true, Means: "an entry of an audit record does not name the hash of the one before it, or the record's end has another", Action: auditHurt}
	auditCheckpoint = Kind{Code: "audit-checkpoint", Means: "a checkpoint of an audit record is missing, cannot be read, or is not about its entry", Action: auditHurt}
	auditUnsigned   = Kind{Code: "audit-unsigned", Means: "entries of an audit record have had no checkpoint for long",
		Action: "See that a worker runs and can read the signing key; its log says why it cannot sign. They are signed as soon as it can."}

	offboardingLeft = Kind{Code: "offboarding-left", Means: "a tenant's offboarding was begun, and has not gone on for long",
		Action: "Run exportcenter offboard with the tenant's name: it goes on where it was."}
	offboardedRows = Kind{Code: "offboarded-rows", Means: "a tenant that is offboarded has rows",
		Action: "Somebody has put them there, or part of a backup was restored. Find out who, have the database's owner delete them, and report it when nobody did."}
	offboardedFiles = Kind{Code: "offboarded-files", Means: "a tenant that is offboarded has files in the blob store",
		Action: "They came back with a backup, or were put there. Run exportcenter offboard with the tenant's name: it removes them."}
	offboardingRecord = Kind{Code: "offboarding-record", Means: "a tenant that is offboarded has no record of it, or one of another tenant",
		Action: "Put the record back from a copy (stella tenant record), or restore the database from a backup."}
)

// Kinds lists every kind.
var Kinds = []Kind{
	blobMissing, blobSize, blobBytes, blobUnrecorded, blobUnneeded, blobDeleting, pinLeft, entryLost, stagedLeft, fileForeign, namespaceUnknown, packedLost, placesDiffer,
	journalGap, journalCounter, endEvents, untold, toldFalsely, outboxDiffers, progressDiffers, queueCounter, runLost, queueOver, usageDiffers, profileOver, runStuck, guardMissing, archiveMissing, distributionMissing, sealMissing,
	headDiffers, observationLost, contentMissing, overtakenDiffers, termsBytes, termsDiffer, documentBytes, documentCanonical,
	profileMissing, profileRevisions, snapshotMissing, packBytes, planDiffers, reportMissing, reportDiffers, reportUntold, noticeDiffers, attestationMissing, attestationDiffers,
	auditGap, auditChanged, auditCheckpoint, auditUnsigned, offboardingLeft, offboardedRows, offboardedFiles, offboardingRecord,
}

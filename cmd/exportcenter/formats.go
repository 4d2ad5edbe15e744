package main

import (
	"github.com/stella-ops/exportcenter/ledger/csaf"
	"github.com/stella-ops/exportcenter/ledger/cyclonedx"
	"github.com/stella-ops/exportcenter/ledger/detect"
	"github.com/stella-ops/exportcenter/ledger/findings"
	"github.com/stella-ops/exportcenter/ledger/gavlist"
	"github.com/stella-ops/exportcenter/ledger/openvex"
	"github.com/stella-ops/exportcenter/ledger/osv"
	"github.com/stella-ops/exportcenter/ledger/spdx"
)

// parseEvidence reads a document in any of the evidence formats.
var parseEvidence = detect.Reader(
	// Our own first: they may have an id and a time, as advisories have.
	detect.Format{Name: gavlist.Format, Recognise: gavlist.Recognise, Parse: gavlist.Parse},
	detect.Format{Name: findings.Format, Recognise: findings.Recognise, Parse: findings.Parse},
	detect.Format{Name: osv.Format, Recognise: osv.Recognise, Parse: osv.Parse},
	detect.Format{Name: openvex.Format, Recognise: openvex.Recognise, Parse: openvex.Parse},
	detect.Format{Name: csaf.Format, Recognise: csaf.Recognise, Parse: csaf.Parse},
	detect.Format{Name: cyclonedx.Format, Recognise: cyclonedx.Recognise, Parse: cyclonedx.Parse},
	detect.Format{Name: spdx.Format, Recognise: spdx.Recognise, Parse: spdx.Parse},
)

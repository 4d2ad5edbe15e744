package export

// Reach is what a run reads that reads the evidence of other tenants too. It is
// fixed when the run is asked for, and never changes.
type Reach struct {
	// Approvals are those that the run relies on, by tenant and project.
	Approvals []Approval `json:"approvals"`
	// Readings are what is read, the run's own evidence included, by tenant and project.
	Readings []Reading `json:"readings"`
}

// Reading is a part of the evidence: one project of one tenant, as of a sequence of
// that tenant's ledger.
type Reading struct {
	Tenant  string `json:"tenant"`
	Project string `json:"project"` // "_" = documents without one
	AsOf    int64  `json:"asOf"`
}

// Covers reports whether the approval lets a project ("_" = none) of tenant be read.
func (a Approval) Covers(tenant, project string) bool {
	return a.Tenant == tenant && (a.Project == "" || a.Project == project)
}

// OtherTenants are the tenants of the selectors but one's own.
func (s Selectors) OtherTenants(own string) []string {
	var others []string
	for _, tenant := range s.Tenants {
		if tenant != own {
			others = append(others, tenant)
		}
	}
	return others
}

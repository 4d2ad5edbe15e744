package advisory

// Split gives one advisory for each vulnerability of a document that speaks of
// several, and the document itself where it does not. What a vulnerability says
// itself goes before what the document says; Upstream holds the document's id,
// so that who reads CVE-2024-8088 still finds RHSA-2024:6163.
func (a Advisory) Split() []Advisory {
	if len(a.Vulnerabilities) == 0 {
		return []Advisory{a}
	}
	affected := map[string][]Affected{}
	for _, entry := range a.Affected {
		about := entry.Vulnerability
		entry.Vulnerability = ""
		affected[about] = append(affected[about], entry)
	}
	all := make([]Advisory, 0, len(a.Vulnerabilities))
	for _, v := range a.Vulnerabilities {
		all = append(all, Advisory{
			ID: v.ID, Aliases: v.Aliases, Upstream: set([]string{a.ID}, v.ID),
			Withdrawn: a.Withdrawn, Published: first(v.Published, a.Published), Modified: a.Modified,
			Title: first(v.Title, a.Title), Description: first(v.Description, a.Description),
			References: firstOf(v.References, a.References), CWEs: v.CWEs, Severities: firstOf(v.Severities, a.Severities),
			Affected: affected[v.ID],
		})
		delete(affected, v.ID) // of two with one id, the first has it all
	}
	return all
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func firstOf[T any](a, b []T) []T {
	if len(a) > 0 {
		return a
	}
	return b
}

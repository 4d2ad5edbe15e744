package trivydb

// packLanguage packs a package of a language.
func (p *packing) packLanguage(lang language, one affectedPackage) {
	versions := p.versions(lang.grammar, one)
	if len(versions) == 0 {
		p.lacksVersions(one)
		return
	}
	bucket := lang.slug + "::" + sourceName(p.doc.Source, p.doc.Stream)
	value := string(encode(record{VendorIDs: p.others, VulnerableVersions: versions}))
	for _, name := range lang.names(one.name) {
		if !isKey(name) {
			p.leave("%s %.80q: the name cannot be a key", one.ecosystem, name)
			continue
		}
		for _, id := range p.ids {
			if !p.add(languageLine, lang.slug, name, id, bucket, p.identity(), value) {
				break
			}
			p.records++
		}
	}
	p.addSource(bucket, p.publisher)
}

// versions says which versions of a package are affected, in Trivy's words.
func (p *packing) versions(g *grammar, one affectedPackage) (list []string) {
	var all []interval
	for _, a := range one.parts {
		for _, r := range a.Ranges {
			of, err := intervals(r)
			if err != nil {
				p.leave("%s %s: %v", one.ecosystem, one.name, err)
			}
			for _, i := range of {
				words, err := g.expressions(i)
				if err != nil {
					p.leave("%s %s: %v", one.ecosystem, one.name, err)
					continue
				}
				list, all = append(list, words...), append(all, i)
			}
		}
	}
	return p.listed(g, one, inOrder(list), coverOf(all))
}

// listed adds the versions that a document names and its ranges do not surely
// hold. Ranges stand before them, so what there is no room for is a version.
func (p *packing) listed(g *grammar, one affectedPackage, list []string, ranges cover) []string {
	size := 0
	for _, words := range list {
		size += len(words)
	}
	for _, a := range one.parts {
		for _, version := range a.Versions {
			if ranges.surelyHolds(version) {
				continue
			}
			if size += len(version); size > maxVersions {
				p.leave("%s %s: more versions than a record has room for", one.ecosystem, one.name)
				return inOrder(list)
			}
			spelled, ok := g.read(version)
			if !ok {
				p.leave("%s %s: %.80q is no %s that Trivy reads", one.ecosystem, one.name, version, g.name)
				continue
			}
			list = append(list, g.equal+spelled)
		}
	}
	return inOrder(list)
}

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// advisoryCount is how many advisories the databases are built of.
const advisoryCount = 50_000

// writeAdvisories writes advisories of our own making below dir, as GitHub's
// database lays them out and as Trivy's builder wants them: a file each, about
// 1.5 KB, of five ecosystems.
func writeAdvisories(dir string, seed uint64) error {
	random := rand.New(rand.NewPCG(seed, 6))
	words := strings.Fields("a crafted request lets an attacker read write or delete files of other users when the parser follows a link in untrusted input before it checks the length of the header field and the server answers with what it found")
	for i := range advisoryCount {
		id := fmt.Sprintf("GHSA-%04x-%04x-%04x", i/1000, i, random.IntN(1<<16))
		year, month := 2020+i%6, 1+i%12
		folder := filepath.Join(dir, "ghsa", "advisories", "github-reviewed", fmt.Sprint(year), fmt.Sprintf("%02d", month), id)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		text, err := json.Marshal(synthetic(i, id, fmt.Sprintf("%d-%02d-%02dT10:00:00Z", year, month, 1+i%28), words, random))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, id+".json"), text, 0o600); err != nil {
			return err
		}
	}
	// Trivy's builder wants this one too, be it empty.
	return os.MkdirAll(filepath.Join(dir, "cocoapods-specs", "Specs"), 0o700)
}

func synthetic(i int, id, at string, words []string, random *rand.Rand) map[string]any {
	prose := func(n int) string {
		text := make([]string, n)
		for i := range text {
			text[i] = words[random.IntN(len(words))]
		}
		return strings.Join(text, " ")
	}
	ecosystem := []string{"npm", "PyPI", "Maven", "Go", "RubyGems"}[i%5]
	name := fmt.Sprintf("package-%d", random.IntN(20_000))
	switch ecosystem {
	case "Maven":
		name = "com.example:" + name
	case "Go":
		name = "example.com/" + name
	}
	affected := []any{}
	for branch := range 1 + random.IntN(3) {
		affected = append(affected, map[string]any{
			"package": map[string]any{"ecosystem": ecosystem, "name": name},
			"ranges": []any{map[string]any{"type": "ECOSYSTEM", "events": []any{
				map[string]any{"introduced": fmt.Sprintf("%d.0.0", branch)}, map[string]any{"fixed": fmt.Sprintf("%d.%d.%d", branch, 1+random.IntN(20), random.IntN(10))},
			}}},
		})
	}
	references := []any{}
	for n := range 3 + random.IntN(4) {
		references = append(references, map[string]any{"type": "WEB", "url": fmt.Sprintf("https://example.com/%s/%d", id, n)})
	}
	return map[string]any{
		"schema_version": "1.4.0", "id": id, "modified": at, "published": at, "aliases": []string{fmt.Sprintf("CVE-%d-%05d", 2020+i%6, i)},
		"summary": prose(8), "details": prose(110), "affected": affected, "references": references,
		"severity":          []any{map[string]any{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}},
		"database_specific": map[string]any{"cwe_ids": []string{"CWE-79"}, "severity": "CRITICAL", "github_reviewed": true},
	}
}

package main

import (
	"fmt"
	"os"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/profiles"
	"github.com/stella-ops/exportcenter/signing"
)

// crossTenantOf reads the keys of those who may approve that a run reads another
// tenant's evidence. Api and worker each read their own configuration.
func crossTenantOf(cfg config.CrossTenant) (profiles.CrossTenant, error) {
	trust := profiles.CrossTenant{Enabled: cfg.Enabled}
	for i, path := range cfg.Approvers {
		text, err := os.ReadFile(path)
		if err != nil {
			return trust, fmt.Errorf("crossTenant.approvers[%d]: %w", i, err)
		}
		key, err := signing.ParsePublicKey(text)
		if err != nil {
			return trust, fmt.Errorf("crossTenant.approvers[%d]: %s: %w", i, path, err)
		}
		trust.Approvers = append(trust.Approvers, key)
	}
	for i, text := range cfg.Revoked {
		digest, err := bundle.ParseDigest(text)
		if err != nil {
			return trust, fmt.Errorf("crossTenant.revoked[%d]: want the digest of an approval's envelope, sha256:...: %w", i, err)
		}
		trust.Revoked = append(trust.Revoked, digest)
	}
	return trust, nil
}

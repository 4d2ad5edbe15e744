package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/profiles"
	"github.com/stella-ops/exportcenter/signing"
)

// approveNothing refuses keys that sign bundles, or are trusted to, among the
// approvers: who may export would approve what he exports. setting is where they are.
func approveNothing(trust profiles.CrossTenant, setting string, keys ...string) error {
	for i, approver := range trust.Approvers {
		if slices.Contains(keys, approver.KeyID()) {
			return fmt.Errorf("crossTenant.approvers[%d]: the key %s signs bundles (%s) and may not approve what they hold: make a key of its own for whoever approves", i, approver.KeyID(), setting)
		}
	}
	return nil
}

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

package main

import (
	"fmt"
	"os"

	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/signing"
)

// crossTenantOf reads the keys of those who may approve that a run reads another
// tenant's evidence.
func crossTenantOf(cfg config.CrossTenant) (frontend.CrossTenant, error) {
	trust := frontend.CrossTenant{Enabled: cfg.Enabled}
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
	return trust, nil
}

package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/signing/keyfile"
)

// Who signs bundles, or is trusted to, approves none of them: neither worker nor api
// starts with such a key among the approvers.
func TestAKeyThatSignsBundlesApprovesNothing(t *testing.T) {
	data, _, _ := leaving(t)
	require.NoError(t, os.Remove(filepath.Join(data, "blobs", "kept-by-nobody")))
	cfg, err := config.Load(filepath.Join(data, "config.yaml"))
	require.NoError(t, err)
	signer, err := loadSigner(cfg.Signing)
	require.NoError(t, err)
	other, err := keyfile.Generate(signing.ECDSAP256, rand.Reader)
	require.NoError(t, err)
	apart, err := signing.NewSigner(other)
	require.NoError(t, err)
	pem := func(name string, key signing.Signer) string {
		path := filepath.Join(data, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, key.PublicKeyPEM(), 0o600))
		return path
	}
	cfg.Listen, cfg.PublicURL = "127.0.0.1:0", "http://127.0.0.1:1"
	cfg.CrossTenant = config.CrossTenant{Enabled: true, Approvers: []string{pem("apart.pub", apart), pem("export.pub", signer)}}
	log := slog.New(slog.DiscardHandler)
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second) // one that starts would serve
	defer stop()
	err = runWorker(ctx, cfg, log)
	require.ErrorContains(t, err, "crossTenant.approvers[1]: the key "+signer.KeyID()+" signs bundles (signing.key)")
	require.ErrorContains(t, err, "make a key of its own")
	cfg.Verify.Trust = filepath.Dir(pem("trust/export.pub", signer))
	err = runAPI(ctx, cfg, log, false)
	require.ErrorContains(t, err, "crossTenant.approvers[1]: the key "+signer.KeyID()+" signs bundles (verify.trust)")

	trust, err := crossTenantOf(config.CrossTenant{Enabled: true, Approvers: cfg.CrossTenant.Approvers[:1]})
	require.NoError(t, err)
	require.NoError(t, approveNothing(trust, "signing.key", signer.KeyID()), "another key may")
}

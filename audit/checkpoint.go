package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/signing"
)

// CheckpointType is the DSSE payload type of a checkpoint.
const CheckpointType = "application/vnd.stellaops.audit.checkpoint+json"

// Checkpoint says that a tenant's chain had these entries at a time.
type Checkpoint struct {
	Schema string        `json:"schema"` // EntrySchema
	Tenant string        `json:"tenant"`
	Seq    int64         `json:"seq"`
	Hash   bundle.Digest `json:"hash"` // of entry Seq
	At     time.Time     `json:"at"`
}

// Sign gives the checkpoint as a DSSE envelope.
func (c Checkpoint) Sign(ctx context.Context, signer signing.Signer) ([]byte, error) {
	c.Schema, c.At = EntrySchema, c.At.UTC().Truncate(time.Second)
	payload, err := bundle.MarshalCanonical(c)
	if err != nil {
		return nil, fmt.Errorf("write checkpoint: %w", err)
	}
	return signing.SignEnvelope(ctx, signer, CheckpointType, payload)
}

// OpenCheckpoint verifies an envelope against keys the caller trusts, and only
// then reads it.
func OpenCheckpoint(envelope []byte, keys []signing.Verifier) (Checkpoint, string, error) {
	payload, keyID, err := signing.OpenEnvelope(envelope, CheckpointType, keys)
	if err != nil {
		return Checkpoint{}, "", err
	}
	c, err := parseCheckpoint(payload)
	if err != nil {
		return Checkpoint{}, "", err
	}
	return c, keyID, nil
}

// ReadCheckpoint reads an envelope without asking who signed it: for whoever keeps it.
func ReadCheckpoint(envelope []byte) (Checkpoint, error) {
	var dsse struct {
		Payload     []byte `json:"payload"`
		PayloadType string `json:"payloadType"`
	}
	if err := json.Unmarshal(envelope, &dsse); err != nil || dsse.PayloadType != CheckpointType {
		return Checkpoint{}, fmt.Errorf("checkpoint: payload type %.80q, want %s", dsse.PayloadType, CheckpointType)
	}
	return parseCheckpoint(dsse.Payload)
}

func parseCheckpoint(payload []byte) (Checkpoint, error) {
	var c Checkpoint
	if err := bundle.UnmarshalStrict(payload, &c); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	again, err := bundle.MarshalCanonical(c)
	if err != nil || !bytes.Equal(again, payload) {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", errNotCanonical)
	}
	if c.Schema != EntrySchema || !ValidChain(c.Tenant) || c.Seq < 1 {
		return Checkpoint{}, fmt.Errorf("checkpoint: schema %.80q, tenant %.80q, entry %d: not one of ours", c.Schema, c.Tenant, c.Seq)
	}
	return c, nil
}

package tuf

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/signing"
)

// Root says which keys sign which role (specification section 4.3).
type Root struct {
	Type               string         `json:"_type"`
	ConsistentSnapshot bool           `json:"consistent_snapshot"` // always false
	Expires            string         `json:"expires"`
	Keys               map[string]Key `json:"keys"` // by their id
	Roles              Roles          `json:"roles"`
	SpecVersion        string         `json:"spec_version"`
	Version            int64          `json:"version"` // from 1, one more each time
}

// Roles are the four roles that every root has.
type Roles struct {
	Root      Role `json:"root"`
	Snapshot  Role `json:"snapshot"`
	Targets   Role `json:"targets"`
	Timestamp Role `json:"timestamp"`
}

// Role is whose signatures count for a role, and how many it takes.
type Role struct {
	KeyIDs    []string `json:"keyids"` // in order
	Threshold int      `json:"threshold"`
}

const (
	// maxKeys bounds the keys of a root.
	maxKeys = 32
	// maxRoot is what TUF clients read of a root.
	maxRoot = 512_000
)

func (r Root) path() string {
	if r.Version < 1 {
		return bundle.TUFRootPath
	}
	return bundle.TUFRootPathOf(r.Version)
}

func (Root) limit() int { return maxRoot }

func (r Root) check() error {
	if err := checkHeader(r.Type, roleRoot, r.SpecVersion, r.Expires, r.Version); err != nil {
		return err
	}
	switch {
	case r.Version > bundle.MaxTUFRoots:
		return fmt.Errorf("version: %d; a chain has at most %d roots", r.Version, bundle.MaxTUFRoots)
	case r.ConsistentSnapshot:
		return fmt.Errorf("consistent_snapshot: a mirror's files have their own names")
	case len(r.Keys) == 0 || len(r.Keys) > maxKeys:
		return fmt.Errorf("keys: %d, want 1 to %d", len(r.Keys), maxKeys)
	}
	for _, id := range slices.Sorted(maps.Keys(r.Keys)) {
		if err := checkKey(id, r.Keys[id]); err != nil {
			return err
		}
	}
	return r.checkRoles()
}

func checkKey(id string, key Key) error {
	if _, err := key.Verifier(); err != nil {
		return fmt.Errorf("keys[%.80q]: %w", id, err)
	}
	if own, err := key.ID(); err != nil || own != id {
		return fmt.Errorf("keys[%.80q]: is not the id of that key", id)
	}
	return nil
}

// checkRoles also wants each key to have a role, and those of the root to have no
// other: who steals the key that signs every day must not be able to make a root.
func (r Root) checkRoles() error {
	used := map[string]bool{}
	for _, of := range []struct {
		name string
		role Role
	}{{roleRoot, r.Roles.Root}, {roleSnapshot, r.Roles.Snapshot}, {roleTargets, r.Roles.Targets}, {roleTimestamp, r.Roles.Timestamp}} {
		ids := of.role.KeyIDs
		if len(ids) == 0 || of.role.Threshold < 1 || of.role.Threshold > len(ids) {
			return fmt.Errorf("roles.%s: a threshold of %d with %d keys", of.name, of.role.Threshold, len(ids))
		}
		for i, id := range ids {
			switch _, there := r.Keys[id]; {
			case !there:
				return fmt.Errorf("roles.%s: key %.80q is not in keys", of.name, id)
			case i > 0 && ids[i-1] >= id:
				return fmt.Errorf("roles.%s: keyids are not in order, or one is there twice", of.name)
			case of.name != roleRoot && slices.Contains(r.Roles.Root.KeyIDs, id):
				return fmt.Errorf("roles.%s: key %s signs roots; it may sign nothing else", of.name, id)
			}
			used[id] = true
		}
	}
	if len(used) != len(r.Keys) {
		return fmt.Errorf("keys: %d of %d have no role", len(r.Keys)-len(used), len(r.Keys))
	}
	return nil
}

// holders are the keys of a role of a checked root.
func (r Root) holders(name string, role Role) holders {
	h := holders{whose: fmt.Sprintf("role %s of root %d", name, r.Version), keys: map[string]signing.Verifier{}, threshold: role.Threshold}
	for _, id := range role.KeyIDs {
		if verifier, err := r.Keys[id].Verifier(); err == nil { // it was checked
			h.keys[id] = verifier
		}
	}
	return h
}

// NewRoot makes a root: rootKeys sign roots, online keys everything else, one
// signature each.
func NewRoot(version int64, expires string, rootKeys, online []Key) (Root, error) {
	r := Root{Type: roleRoot, Expires: expires, Keys: map[string]Key{}, SpecVersion: specVersion, Version: version}
	role := func(keys []Key) (Role, error) {
		of := Role{Threshold: 1}
		for _, key := range keys {
			id, err := key.ID()
			if err != nil {
				return of, err
			}
			if r.Keys[id] = key; !slices.Contains(of.KeyIDs, id) {
				of.KeyIDs = append(of.KeyIDs, id)
			}
		}
		slices.Sort(of.KeyIDs)
		return of, nil
	}
	var err error
	if r.Roles.Root, err = role(rootKeys); err != nil {
		return r, err
	}
	every, err := role(online)
	r.Roles.Snapshot, r.Roles.Targets, r.Roles.Timestamp = every, every, every
	if err == nil {
		err = r.check()
	}
	return r, err
}

// RootKeys are the keys that sign roots, OnlineKeys those that sign mirrors.
func (r Root) RootKeys() []Key { return r.keysOf(r.Roles.Root) }

// OnlineKeys are the keys of all roles but root.
func (r Root) OnlineKeys() []Key {
	return r.keysOf(r.Roles.Targets, r.Roles.Snapshot, r.Roles.Timestamp)
}

func (r Root) keysOf(roles ...Role) (keys []Key) {
	var ids []string
	for _, role := range roles {
		ids = append(ids, role.KeyIDs...)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		keys = append(keys, r.Keys[id])
	}
	return keys
}

// IsRootKey reports whether a public key signs roots.
func (r Root) IsRootKey(publicPEM []byte) bool {
	key, err := KeyOf(publicPEM)
	return err == nil && slices.Contains(r.RootKeys(), key)
}

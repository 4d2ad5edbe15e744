package tuf

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/signing"
)

// Why a document or a set of them is refused. Every error of this package about
// what was read wraps exactly one.
var (
	// ErrForm: not a document of that role in the one form that it has.
	ErrForm = errors.New("not in the form of a mirror's TUF document")
	// ErrSignature: too few signatures by the keys of the role, or one that is no
	// good, or by another key.
	ErrSignature = errors.New("not signed as the root demands")
	// ErrVersion: a version that does not follow, or is not the generation.
	ErrVersion = errors.New("version is not the one it must be")
	// ErrMismatch: length or digest is not what the other document says.
	ErrMismatch = errors.New("is not what the metadata says")
	// ErrRoot: the chain of roots does not pass through the trusted one.
	ErrRoot = errors.New("the chain does not pass through the trusted root")
	// ErrExpired: the moment is not before the document's end.
	ErrExpired = errors.New("has expired")
)

// Fault is an error of a document.
type Fault struct {
	Path string // in a mirror
	Err  error
}

func (f *Fault) Error() string { return f.Path + ": " + f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

func faulty(path string, err error) error { return &Fault{path, err} }

// Names of the roles, as documents have them.
const (
	roleRoot      = "root"
	roleTargets   = "targets"
	roleSnapshot  = "snapshot"
	roleTimestamp = "timestamp"
)

// specVersion is the version of the specification that is written; any 1.0.x is read.
const specVersion = "1.0.31"

var specForm = regexp.MustCompile(`^1\.0\.[0-9]{1,3}$`)

// maxVersion bounds versions; generations are far below it.
const maxVersion = 1 << 52

// part is the signed part of a document.
type part interface {
	Root | Targets | Snapshot | Timestamp
	// check says what is not in its form.
	check() error
	// path is where the document lies in a mirror, limit how long it may be.
	path() string
	limit() int
}

// MirrorPart is the signed part of a document that is made anew for each mirror.
type MirrorPart interface {
	part
	Targets | Snapshot | Timestamp
}

// Signature is one signature of a document.
type Signature struct {
	KeyID string `json:"keyid"` // of the Key
	Value string `json:"sig"`   // in hex
}

// Document is a signed document and the bytes it was read from.
type Document[T part] struct {
	Signatures []Signature // ordered by key id, each of another key
	Signed     T
	Raw        []byte
}

// Message gives the bytes that are signed.
func Message[T part](signed T) ([]byte, error) {
	if err := signed.check(); err != nil {
		return nil, faulty(signed.path(), fmt.Errorf("%w: %w", ErrForm, err))
	}
	return canonical(signed)
}

// Encode writes a document: RFC 8785 JSON.
func Encode[T part](signed T, signatures ...Signature) (Document[T], error) {
	d := Document[T]{Signatures: slices.Clone(signatures), Signed: signed}
	slices.SortFunc(d.Signatures, func(a, b Signature) int { return strings.Compare(a.KeyID, b.KeyID) })
	err := checkSignatures(d.Signatures)
	if err == nil {
		err = signed.check()
	}
	if err != nil {
		return d, faulty(signed.path(), fmt.Errorf("%w: %w", ErrForm, err))
	}
	text, err := bundle.MarshalCanonical(signed)
	if err != nil {
		return d, err
	}
	list, err := bundle.MarshalCanonical(d.Signatures)
	if err != nil {
		return d, err
	}
	d.Raw = slices.Concat([]byte(`{"signatures":`), list, []byte(`,"signed":`), text, []byte(`}`))
	return d, nil
}

// Parse reads what Encode writes, and nothing else. No signature is looked at.
func Parse[T part](raw []byte) (Document[T], error) {
	var d Document[T]
	path := d.Signed.path()
	if len(raw) > d.Signed.limit() {
		return d, faulty(path, fmt.Errorf("%w: %d bytes, more than %d", ErrForm, len(raw), d.Signed.limit()))
	}
	var read struct {
		Signatures []Signature     `json:"signatures"`
		Signed     json.RawMessage `json:"signed"`
	}
	if err := bundle.UnmarshalStrict(raw, &read); err != nil {
		return d, faulty(path, fmt.Errorf("%w: %w", ErrForm, err))
	}
	var signed T
	if err := bundle.UnmarshalStrict(read.Signed, &signed); err != nil {
		return d, faulty(path, fmt.Errorf("%w: signed: %w", ErrForm, err))
	}
	again, err := Encode(signed, read.Signatures...)
	if err != nil {
		return d, err
	}
	if !bytes.Equal(again.Raw, raw) {
		return d, faulty(path, fmt.Errorf("%w: %w", ErrForm, bundle.ErrNotCanonical))
	}
	again.Raw = raw
	return again, nil
}

// maxSignatures bounds the signatures of a document: of a root, those of its own
// keys and of the keys before.
const maxSignatures = 2 * maxKeys

func checkSignatures(list []Signature) error {
	if len(list) < 1 || len(list) > maxSignatures {
		return fmt.Errorf("signatures: %d, want 1 to %d", len(list), maxSignatures)
	}
	for i, s := range list {
		switch {
		case !hexForm.MatchString(s.KeyID):
			return fmt.Errorf("signatures[%d]: keyid %.80q is not 64 lower-case hex digits", i, s.KeyID)
		case i > 0 && list[i-1].KeyID >= s.KeyID:
			return fmt.Errorf("signatures[%d]: a second one by key %s", i, s.KeyID)
		case len(s.Value) > 2*maxSignature:
			return fmt.Errorf("signatures[%d]: sig of %d hex digits", i, len(s.Value))
		}
		if raw, err := hex.DecodeString(s.Value); err != nil || len(raw) == 0 || hex.EncodeToString(raw) != s.Value {
			return fmt.Errorf("signatures[%d]: sig is not lower-case hex", i)
		}
	}
	return nil
}

// maxSignature is more than the bytes of any signature that verifies.
const maxSignature = 128

func checkHeader(role, want, spec, expires string, version int64) error {
	if role != want {
		return fmt.Errorf("_type: %.40q is not %s", role, want)
	}
	if !specForm.MatchString(spec) {
		return fmt.Errorf("spec_version: %.40q is not 1.0.x", spec)
	}
	if version < 1 || version > maxVersion {
		return fmt.Errorf("version: %d is not 1 or more", version)
	}
	if _, err := momentOf(expires); err != nil {
		return err
	}
	return nil
}

// momentOf reads a stamp as documents have it.
func momentOf(stamp string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, stamp)
	if err != nil || bundle.Stamp(at) != stamp {
		return at, fmt.Errorf("expires: %.40q is not a UTC time in whole seconds", stamp)
	}
	return at, nil
}

// expired is the error of a document of which at is not before its end.
func expired(path, stamp string, at time.Time) error {
	end, err := momentOf(stamp)
	if err != nil {
		return faulty(path, fmt.Errorf("%w: %w", ErrForm, err))
	}
	if at.Before(end) {
		return nil
	}
	return faulty(path, fmt.Errorf("%w, since %s", ErrExpired, stamp))
}

// signedBy holds the signatures of a document against a role: how many are by its
// keys. A signature by one of them that does not verify is an error; so is one by
// a key that is in none of the roles.
func signedBy[T part](d Document[T], roles ...holders) error {
	message, err := Message(d.Signed)
	if err != nil {
		return err
	}
	path := d.Signed.path()
	counts := make([]int, len(roles))
	for _, s := range d.Signatures {
		var key signing.Verifier
		for i, r := range roles {
			if verifier, ok := r.keys[s.KeyID]; ok {
				key, counts[i] = verifier, counts[i]+1
			}
		}
		if key == nil {
			return faulty(path, fmt.Errorf("%w: key %s is none of the role's", ErrSignature, s.KeyID))
		}
		value, err := hex.DecodeString(s.Value)
		if err != nil {
			return faulty(path, fmt.Errorf("%w: %w", ErrForm, err))
		}
		if err := key.Verify(message, value); err != nil {
			return faulty(path, fmt.Errorf("%w: by key %s: %w", ErrSignature, s.KeyID, err))
		}
	}
	for i, r := range roles {
		if counts[i] < r.threshold {
			return faulty(path, fmt.Errorf("%w: %d of the %d signatures that %s wants", ErrSignature, counts[i], r.threshold, r.whose))
		}
	}
	return nil
}

// holders are the keys of a role.
type holders struct {
	whose     string // for messages
	keys      map[string]signing.Verifier
	threshold int
}

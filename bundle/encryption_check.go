package bundle

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
)

// maxEncryptionRecipients bounds the recipients of a bundle.
const maxEncryptionRecipients = 64

var (
	hexForm       = regexp.MustCompile(`^[0-9a-f]*$`)
	recipientForm = regexp.MustCompile(`^(?:age1[02-9ac-hj-np-z]{58}|kms://[A-Za-z0-9](?:[A-Za-z0-9._:/@-]{0,240}[A-Za-z0-9])?)$`)
)

// checkEncryptionTerms looks at the manifest's.
func checkEncryptionTerms(m Manifest) error {
	if m.Encryption == nil {
		return nil
	}
	return m.Encryption.check("encryption")
}

func (t EncryptionTerms) check(field string) error {
	if t.Mode != EncryptionAge && t.Mode != EncryptionGCM {
		return fmt.Errorf("%s.mode: %.40q is neither %s nor %s", field, t.Mode, EncryptionAge, EncryptionGCM)
	}
	return checkRecipientList(field+".recipients", t.Recipients)
}

func checkRecipientList(field string, recipients []string) error {
	if n := len(recipients); n == 0 || n > maxEncryptionRecipients {
		return fmt.Errorf("%s: %d; want 1 to %d", field, n, maxEncryptionRecipients)
	}
	for i, r := range recipients {
		if !recipientForm.MatchString(r) {
			return fmt.Errorf("%s[%d]: %.100q is neither an age1 recipient nor a kms:// key", field, i, r)
		}
		if i > 0 && recipients[i-1] >= r {
			return fmt.Errorf("%s[%d]: does not come after the one before", field, i)
		}
	}
	return nil
}

// sameTerms compares the manifest's with the provenance's.
func sameTerms(a, b *EncryptionTerms) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Mode == b.Mode && a.Strict == b.Strict && slices.Equal(a.Recipients, b.Recipients)
}

// sameRecipients: those that can open it and those that were omitted are want.
func sameRecipients(e Encryption, want []string) bool {
	all := slices.Clone(e.Recipients)
	for _, o := range e.Omitted {
		all = append(all, o.Recipient)
	}
	slices.Sort(all)
	return slices.Equal(all, want)
}

func (e Encryption) check() error {
	switch {
	case e.Schema != EncryptionSchema:
		return fmt.Errorf("schema: %.100q is not %s", e.Schema, EncryptionSchema)
	case !runIDForm.MatchString(e.RunID):
		return fmt.Errorf("runId: %.100q is not a run id", e.RunID)
	case !tenantForm.MatchString(e.Tenant):
		return fmt.Errorf("tenant: %.100q is not a tenant", e.Tenant)
	case e.Plain.ArchiveDigest.IsZero() || e.Plain.ManifestDigest.IsZero() || e.Plain.PayloadDigest.IsZero() || e.CipherDigest.IsZero():
		return fmt.Errorf("plain, cipherDigest: a digest was never set")
	case e.Plain.ArchiveBytes < BlockSize+TrailerSize || e.Plain.ArchiveBytes%BlockSize != 0:
		return fmt.Errorf("plain.archiveBytes: %d is no length of an archive", e.Plain.ArchiveBytes)
	}
	if err := (EncryptionTerms{Mode: e.Mode, Recipients: e.Recipients}).check("encryption"); err != nil {
		return err
	}
	for _, step := range []func() error{e.checkOmitted, e.checkKeys, e.checkFiles, e.checkOriginals} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (e Encryption) checkOmitted() error {
	if e.Omitted != nil && len(e.Omitted) == 0 {
		return fmt.Errorf("omitted: is empty, and not absent")
	}
	for i, o := range e.Omitted {
		switch {
		case !recipientForm.MatchString(o.Recipient):
			return fmt.Errorf("omitted[%d].recipient: %.100q is neither an age1 recipient nor a kms:// key", i, o.Recipient)
		case i > 0 && e.Omitted[i-1].Recipient >= o.Recipient:
			return fmt.Errorf("omitted[%d]: does not come after the one before", i)
		case slices.Contains(e.Recipients, o.Recipient):
			return fmt.Errorf("omitted[%d]: %s is a recipient all the same", i, o.Recipient)
		}
		if err := checkText("omitted.reason", o.Reason); err != nil {
			return err
		}
	}
	return nil
}

// checkKeys wants a wrapped key for each recipient in mode aes-gcm, and none of what
// belongs to it in mode age.
func (e Encryption) checkKeys() error {
	if e.Mode == EncryptionAge {
		if e.Keys != nil || e.KeyCheck != "" || e.AADFormat != "" || e.NonceFormat != "" {
			return fmt.Errorf("keys, keyCheck, aadFormat, nonceFormat: are of mode %s", EncryptionGCM)
		}
		return nil
	}
	switch {
	case e.AADFormat != AADFormat || e.NonceFormat != NonceFormat:
		return fmt.Errorf("aadFormat, nonceFormat: want %q and %q", AADFormat, NonceFormat)
	case len(e.KeyCheck) != 64 || !hexForm.MatchString(e.KeyCheck):
		return fmt.Errorf("keyCheck: %.80q is not 64 hex digits", e.KeyCheck)
	case len(e.Keys) != len(e.Recipients):
		return fmt.Errorf("keys: %d for %d recipients", len(e.Keys), len(e.Recipients))
	}
	for i, k := range e.Keys {
		if k.Recipient != e.Recipients[i] {
			return fmt.Errorf("keys[%d]: is for %.100q, not for %s", i, k.Recipient, e.Recipients[i])
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(k.WrappedKey)
		if err != nil || len(raw) == 0 || len(raw) > MaxWrappedKey || base64.StdEncoding.EncodeToString(raw) != k.WrappedKey {
			return fmt.Errorf("keys[%d].wrappedKey: is not base64 of 1 to %d bytes", i, MaxWrappedKey)
		}
	}
	return nil
}

func (e Encryption) checkFiles() error {
	if e.Files == nil {
		return fmt.Errorf("files: absent; none are []")
	}
	for i, f := range e.Files {
		nonce := 0
		if e.Mode == EncryptionGCM {
			nonce = 24
		}
		if _, err := Header(CipherPath(e.Mode, f.Path), f.CipherBytes); err != nil {
			return fmt.Errorf("files[%d]: %w", i, err)
		}
		switch {
		case !IsSecret(f.Path) || CheckPath(f.Path) != nil:
			return fmt.Errorf("files[%d].path: %.200q is no path of a file that is encrypted", i, f.Path)
		case i > 0 && e.Files[i-1].Path >= f.Path:
			return fmt.Errorf("files[%d]: %s does not come after %s", i, f.Path, e.Files[i-1].Path)
		case f.Bytes < 0 || f.CipherBytes <= f.Bytes:
			return fmt.Errorf("files[%d]: %d bytes in %d", i, f.Bytes, f.CipherBytes)
		case f.CipherDigest.IsZero():
			return fmt.Errorf("files[%d].cipherDigest: was never set", i)
		case len(f.Nonce) != nonce || !hexForm.MatchString(f.Nonce):
			return fmt.Errorf("files[%d].nonce: %.40q; want %d hex digits", i, f.Nonce, nonce)
		}
	}
	return nil
}

func (e Encryption) checkOriginals() error {
	if o := e.Originals; o != nil && (o.Count < 1 || o.Count > maxContent || o.Bytes < 0 || o.Bytes > maxContent || o.CipherBytes <= o.Bytes || o.CipherBytes > maxContent) {
		return fmt.Errorf("originals: %d of %d bytes in %d", o.Count, o.Bytes, o.CipherBytes)
	}
	return nil
}

package bundle

import "strings"

// guideEncrypted is the section of VERIFY.md about a bundle that leaves encrypted; ""
// for others. It stands in the plain archive too, which says how it came.
func guideEncrypted(m Manifest) string {
	if m.Encryption == nil {
		return ""
	}
	text := strings.ReplaceAll(guideEncryptedHead, "MODE", m.Encryption.Mode)
	for _, r := range m.Encryption.Recipients {
		text += "- `" + r + "`\n"
	}
	if m.Encryption.Mode == EncryptionAge {
		return text + guideEncryptedAge
	}
	return text + guideEncryptedGCM
}

const guideEncryptedHead = `
## 7. If the archive came encrypted

This bundle leaves its maker encrypted (mode MODE): each data file is there as a
ciphertext, beside ` + EncryptionPath + `. Steps 2 and 4 to 5 work as they are;
the seal around such an archive is ` + OuterSealPath + `, of payload
type ` + OuterSealPayloadType + `
(` + outerSealTypeLength + ` bytes), and is checked as step 6 says of the other. To open it and check the rest:

    stella verify BUNDLE --key KEY --identity IDENTITY
    stella export open BUNDLE --key KEY --identity IDENTITY --output PLAIN.tar

IDENTITY holds the secret key of one of those it was made for:

`

const guideEncryptedAge = `
With other programs, in the unpacked archive:

    jq -r '.files[] | "\(.cipherDigest | ltrimstr("sha256:"))  \(.path).age"' ` + EncryptionPath + ` | sha256sum -c -
    jq -r '.files[].path' ` + EncryptionPath + ` | while read -r f; do age -d -i IDENTITY -o "$f" "$f.age"; done
    find . -path './data/original/*' -name '*.age' | while read -r f; do age -d -i IDENTITY -o "${f%.age}" "$f"; done

Then go on with step 3. That a file opens does not say who made it: anybody can
encrypt for you. The signatures do.
`

const guideEncryptedGCM = `
The form of the encrypted files is public (docs/formats/encryption.md of Export
Center); each key in ` + EncryptionPath + ` is an age file, or wrapped by a key service.
`

// outerSealTypeLength is len(OuterSealPayloadType); a test compares them.
const outerSealTypeLength = "53"

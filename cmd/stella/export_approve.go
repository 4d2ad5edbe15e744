package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/signing/keyfile"
)

const approveHelp = `Sign an approval: until --expires, runs of profile --profile of tenant --reader may
read the evidence of --tenant, all of it or one --project. Nothing is sent anywhere.

What is printed goes into the profile of the reader, under spec.approvals of its
file or config.approvals of the API. It counts where crossTenant.enabled is on and
the public key is one of crossTenant.approvers, for the api and for the worker.

--key is a private key (ECDSA P-256 or Ed25519) that nobody else may read: an
encrypted one as cosign generate-key-pair writes it, with --password-file, or
PKCS #8 as openssl genpkey writes it.

`

func exportApproveCommand() *cobra.Command {
	var a bundle.Approval
	var key, passwordFile string
	var f *format
	command := leaf("approve", "Sign that runs may read the evidence of another tenant", cobra.NoArgs, func(command *cobra.Command, _ []string) error {
		for _, name := range []string{"tenant", "reader", "profile", "expires", "approver", "key"} {
			if !command.Flags().Changed(name) {
				return inputErrorf("--%s is missing", name)
			}
		}
		if command.Flags().Changed("project") && a.Project == "" {
			return inputErrorf("--project is empty; leave it out to approve that every project is read, also later ones")
		}
		signer, err := approverKey(key, passwordFile)
		if err != nil {
			return err
		}
		element, err := approvalOf(command, signer, a)
		if err != nil {
			return err
		}
		if f.machine() {
			return f.encode(command.OutOrStdout(), element)
		}
		_, err = io.WriteString(command.OutOrStdout(), approvalText(element))
		return err
	})
	command.Long = approveHelp + exitCodesHelp
	flags := command.Flags()
	flags.StringVar(&a.Tenant, "tenant", "", "the tenant whose evidence may be read")
	flags.StringVar(&a.Project, "project", "", `one project of it, "_" for its documents without one; all of them when it is not given`)
	flags.StringVar(&a.Reader, "reader", "", "the tenant whose runs may read it")
	flags.StringVar(&a.Profile, "profile", "", "the reader's profile, by name or id")
	flags.StringVar(&a.ExpiresAt, "expires", "", "the day or time at which the approval ends")
	flags.StringVar(&a.Approver, "approver", "", "who approves, for readers")
	flags.StringVar(&key, "key", "", "`FILE` with the approver's private key")
	flags.StringVar(&passwordFile, "password-file", "", "`FILE` with the key's password")
	f = addFormat(command)
	return command
}

// approvalOf signs what the flags say.
func approvalOf(command *cobra.Command, signer signing.Signer, a bundle.Approval) (client.SpecApproval, error) {
	none := client.SpecApproval{}
	text, err := parseTime(a.ExpiresAt)
	if err != nil {
		return none, inputErrorf("--expires: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return none, inputErrorf("--expires: %w", err)
	}
	a.Version, a.ExpiresAt = bundle.ApprovalVersion, bundle.Stamp(at) // earlier rather than later
	payload, err := a.Encode()
	if err != nil {
		return none, inputErrorf("%w", err)
	}
	envelope, err := signing.SignEnvelope(command.Context(), signer, bundle.ApprovalPayloadType, payload)
	if err != nil {
		return none, err
	}
	return client.SpecApproval{Tenant: a.Tenant, Project: a.Project, Approver: a.Approver, ExpiresAt: a.ExpiresAt, Signature: string(envelope)}, nil
}

// approvalText is an element of spec.approvals as a profile file has it. The envelope
// is JSON without a single quote in it.
func approvalText(a client.SpecApproval) string {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# under spec.approvals; to take it back, name %s in crossTenant.revoked\n- tenant: %s\n", bundle.DigestOf([]byte(a.Signature)), a.Tenant)
	if a.Project != "" {
		fmt.Fprintf(&out, "  project: %q\n", a.Project)
	}
	fmt.Fprintf(&out, "  approver: %q\n  expiresAt: %q\n  signature: '%s'\n", a.Approver, a.ExpiresAt, a.Signature)
	return out.String()
}

// maxKeyFile bounds a private key file.
const maxKeyFile = 64 << 10

// approverKey reads a private key, encrypted or not, that is its owner's alone.
func approverKey(path, passwordFile string) (signing.Signer, error) {
	var password []byte
	if passwordFile != "" {
		text, err := os.ReadFile(passwordFile)
		if err != nil {
			return nil, inputErrorf("--password-file: %w", err)
		}
		password = bytes.TrimRight(text, "\r\n")
	}
	signer, err := keyfile.Load(path, password)
	if !errors.Is(err, keyfile.ErrFormat) {
		if err != nil {
			return nil, inputErrorf("--key: %w", err)
		}
		return signer, nil
	}
	plain, plainErr := plainKey(path)
	if plainErr != nil {
		return nil, inputErrorf("--key: %w", errors.Join(err, plainErr))
	}
	return plain, nil
}

// plainKey reads a PKCS #8 key that is not encrypted. keyfile has seen to who may
// read the file.
func plainKey(path string) (signing.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s is not a small file", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%s is not one PEM block PRIVATE KEY either", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s is no PKCS #8 key", path)
	}
	private, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s is not a key that signs", path)
	}
	return signing.NewSigner(private)
}

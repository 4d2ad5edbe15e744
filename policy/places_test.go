package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/internal/purl"
	"github.com/stella-ops/exportcenter/sbom"
)

// Under which packages a component is looked up: "ecosystem|name|version".
func TestPlaces(t *testing.T) {
	for text, want := range map[string]string{
		"pkg:npm/lodash@1":                                   "npm|lodash|1",
		"pkg:npm/%40Scope/Name@1":                            "npm|@Scope/Name|1",
		"pkg:npm/@scope/name@1":                              "npm|@scope/name|1",
		"pkg:pypi/Foo._-bar@1":                               "PyPI|foo-bar|1",
		"pkg:golang/github.com/Masterminds/semver/v3@v3.2.0": "Go|github.com/masterminds/semver/v3|v3.2.0",
		"pkg:golang/stdlib@1.21.3":                           "Go|stdlib|1.21.3",
		"pkg:golang/a.example/b@v1.0.0#sub/dir":              "Go|a.example/b|v1.0.0",
		"pkg:maven/org.Apache/Log4j-core@2?type=jar":         "Maven|org.Apache:Log4j-core|2",
		"pkg:maven/lonely@2":                                 "Maven|lonely|2",
		"pkg:cargo/Foo_bar@1":                                "crates.io|foo-bar|1",
		"pkg:gem/Rails@1?platform=java":                      "RubyGems|Rails|1",
		"pkg:composer/Symfony/HTTP-kernel@1":                 "Packagist|symfony/http-kernel|1",
		"pkg:nuget/Newtonsoft.Json@1":                        "NuGet|newtonsoft.json|1",
		"pkg:hex/Phoenix@1":                                  "Hex|phoenix|1",
		"pkg:pub/HTTP@1":                                     "Pub|http|1",
		"pkg:swift/github.com/Apple/swift-nio@1":             "SwiftURL|github.com/apple/swift-nio|1",
		"pkg:npm/lodash":                                     "npm|lodash|9", // the component's own version
		"pkg:generic/x@1":                                    "",
		"pkg:oci/x@1":                                        "",
		"pkg:deb/other/x@1":                                  "",
		"pkg:deb/debian/libssl3@3.0-1?distro=debian-12&upstream=openssl":                           "Debian|openssl|3.0-1 Debian:12|openssl|3.0-1",
		"pkg:deb/debian/libssl3@3.0-1+b1?distro=bookworm&upstream=openssl@3.0-1":                   "Debian|openssl|3.0-1 Debian:12|openssl|3.0-1",
		"pkg:deb/debian/zlib1g@1?distro=debian-12.5":                                               "Debian|zlib1g|1 Debian:12|zlib1g|1",
		"pkg:deb/debian/zlib1g@1?distro=unstable":                                                  "Debian|zlib1g|1",
		"pkg:deb/debian/zlib1g@1":                                                                  "Debian|zlib1g|1",
		"pkg:deb/ubuntu/zlib1g@1?distro=ubuntu-22.04":                                              "Ubuntu|zlib1g|1 Ubuntu:22.04|zlib1g|1",
		"pkg:deb/ubuntu/zlib1g@1?distro=jammy&epoch=1":                                             "Ubuntu|zlib1g|1:1 Ubuntu:22.04|zlib1g|1:1",
		"pkg:apk/alpine/libcrypto3@3.1-r0?distro=3.18.4&upstream=openssl":                          "Alpine|openssl|3.1-r0 Alpine:v3.18|openssl|3.1-r0",
		"pkg:apk/alpine/busybox@1?distro=alpine-3.9":                                               "Alpine|busybox|1 Alpine:v3.9|busybox|1",
		"pkg:apk/alpine/busybox@1?distro=edge":                                                     "Alpine|busybox|1 Alpine:edge|busybox|1",
		"pkg:apk/wolfi/busybox@1":                                                                  "Wolfi|busybox|1",
		"pkg:rpm/redhat/bash@5.1-6.el9?epoch=0&distro=rhel-9.2&upstream=bash-5.1-6.el9.src.rpm":    "Red Hat|bash|0:5.1-6.el9 Red Hat:9|bash|0:5.1-6.el9",
		"pkg:rpm/redhat/libxml2-devel@2-1.el8?distro=redhat-8.10&upstream=libxml2-2-1.el8.src.rpm": "Red Hat|libxml2|2-1.el8 Red Hat|libxml2-devel|2-1.el8 Red Hat:8|libxml2|2-1.el8 Red Hat:8|libxml2-devel|2-1.el8",
		"pkg:rpm/opensuse/x@1?distro=opensuse-leap-15.4":                                           "openSUSE|x|1 openSUSE:Leap 15.4|x|1",
		"pkg:rpm/opensuse/x@1?distro=opensuse.leap-15.4":                                           "openSUSE|x|1 openSUSE:Leap 15.4|x|1",
		"pkg:rpm/opensuse/x@1?distro=opensuse-leap-micro-5.4":                                      "openSUSE|x|1 openSUSE:Leap Micro 5.4|x|1",
		"pkg:rpm/opensuse/x@1?distro=opensuse-tumbleweed-20240101":                                 "openSUSE|x|1 openSUSE:Tumbleweed|x|1",
		"pkg:rpm/opensuse/x@1?distro=opensuse-tumbleweed":                                          "openSUSE|x|1 openSUSE:Tumbleweed|x|1",
		"pkg:rpm/opensuse/x@1?distro=opensuse-15.4":                                                "openSUSE|x|1",
		"pkg:rpm/suse/x@1?distro=sles-15.5":                                                        "SUSE|x|1 SUSE:15|x|1 SUSE:15.5|x|1",
		"pkg:rpm/suse/x@1?distro=suse%20linux%20enterprise%20server-12":                            "SUSE|x|1 SUSE:12|x|1",
		"pkg:rpm/suse/x@1?distro=sles-15.0":                                                        "SUSE|x|1 SUSE:15|x|1",
		"pkg:rpm/suse/x@1?distro=sle-micro-5.3":                                                    "SUSE|x|1 SUSE:Micro 5.3|x|1",
		"pkg:rpm/suse/x@1?distro=slem-6.0":                                                         "SUSE|x|1 SUSE:Micro 6|x|1",
		"pkg:rpm/suse/x@1?distro=slem-5.3":                                                         "SUSE|x|1 SUSE:Micro 5.3|x|1",
		"pkg:rpm/suse/x@1?distro=sles":                                                             "SUSE|x|1",
		"pkg:rpm/photon/x@1?distro=photon-5.0":                                                     "Photon OS|x|1 Photon OS:5.0|x|1",
		"pkg:rpm/photon/x@1?distro=photon-5":                                                       "Photon OS|x|1", // less than advisories say
		"pkg:apk/alpine/busybox@1?distro=alpine-3":                                                 "Alpine|busybox|1",
	} {
		p, ok := purl.Split(text)
		require.True(t, ok, text)
		var got []string
		for _, f := range placesOf(&sbom.Component{Purl: text, Version: "9"}, p) {
			got = append(got, f.ecosystem+"|"+f.name+"|"+f.version)
		}
		require.Equal(t, want, strings.Join(got, " "), text)
	}
	p, _ := purl.Split("pkg:deb/debian/libc6@2.36-9?distro=debian-12")
	got := placesOf(&sbom.Component{SourceName: "glibc", SourceVersion: "2.36-8"}, p)
	require.Equal(t, found{place{"Debian:12", "glibc"}, "2.36-8"}, got[1])
}

func TestEcosystems(t *testing.T) {
	for text, want := range map[string]string{
		"npm": "npm", "Debian:12": "Debian:12", "Ubuntu:22.04:LTS": "Ubuntu:22.04", "Ubuntu:23.10": "Ubuntu:23.10", "Ubuntu:Pro:22.04:LTS": "Ubuntu:Pro:22.04",
		"Alpine:v3.18": "Alpine:v3.18", "Alpine:3.18": "Alpine:v3.18", "Alpine:edge": "Alpine:edge", "Alpine:": "Alpine",
		"Red Hat:enterprise_linux:8::baseos": "Red Hat:8", "Red Hat:rhel_eus:8.6::appstream": "Red Hat:8", "Red Hat:openshift:4.12::el8": "Red Hat:openshift:4.12::el8",
		"Rocky Linux:9": "Rocky Linux:9", "Photon OS:5.0": "Photon OS:5.0", "openSUSE:Leap 15.6": "openSUSE:Leap 15.6",
		"SUSE:Linux Enterprise Server 15 SP5": "SUSE:15.5", "SUSE:Linux Enterprise Module for Basesystem 15 SP5": "SUSE:15.5", "SUSE:Linux Enterprise Server 15 SP3-LTSS": "SUSE:15.3",
		"SUSE:Linux Enterprise Server LTSS Extended Security 12 SP5": "SUSE:12.5", "SUSE:Linux Enterprise Module for Public Cloud 12": "SUSE:12",
		"SUSE:Linux Enterprise Micro 5.3": "SUSE:Micro 5.3", "SUSE:Linux Enterprise Micro for Rancher 5.3": "SUSE:Micro 5.3", "SUSE:Manager Server 4.3": "SUSE:Manager Server 4.3",
		"SUSE:Linux Enterprise Server 16.0": "SUSE:16", "SUSE:Linux Enterprise Micro 6.0": "SUSE:Micro 6", "SUSE:Linux Enterprise Server 16.1": "SUSE:16.1", "SUSE:Linux Enterprise Server 15": "SUSE:15", "SUSE": "SUSE",
	} {
		require.Equal(t, want, normalEcosystem(text), text)
	}
}

// An advisory and a component of a distribution meet by source, release, stream
// and architecture.
func TestSystemPackagesMeet(t *testing.T) {
	affected := func(ecosystem, name, fixed string) advisory.Affected {
		return advisory.Affected{Ecosystem: ecosystem, Name: name, Ranges: []advisory.Range{{Type: "ECOSYSTEM", Events: events("i", "0", "f", fixed)}}}
	}
	modular, arches := affected("Red Hat:enterprise_linux:8::appstream", "nodejs", "1:18.20-1"), affected("Red Hat:enterprise_linux:8::baseos", "bash", "0:5.2-1")
	modular.Module, arches.Arches = "nodejs:18", []string{"s390x"}
	w := &world{
		advisories: []advisory.Advisory{
			{ID: "D-12", Affected: []advisory.Affected{affected("Debian:12", "openssl", "3.0.13-1")}},
			{ID: "D-11", Affected: []advisory.Affected{affected("Debian:11", "openssl", "1.1.2-1")}},
			{ID: "D", Affected: []advisory.Affected{affected("Debian", "openssl", "3.0.12-1"), affected("Debian:12", "openssl", "3.0.14-1")}},
			{ID: "M", Affected: []advisory.Affected{modular}},
			{ID: "X", Affected: []advisory.Affected{arches}},
		},
		sboms: []sbom.Inventory{{ID: "s", Subject: "s", Components: []sbom.Component{
			{Ref: "1", Purl: "pkg:deb/debian/libssl3@3.0.11-1?distro=debian-12&upstream=openssl"},
			{Ref: "2", Purl: "pkg:deb/debian/openssl@3.0.15-1?distro=debian-12"},
			{Ref: "3", Purl: "pkg:deb/debian/openssl@1.0-1"},
			{Ref: "4", Purl: "pkg:rpm/redhat/nodejs@18.19-1?epoch=1&distro=rhel-8.9&rpmmod=nodejs:18:820:abc"},
			{Ref: "5", Purl: "pkg:rpm/redhat/nodejs@18.19-1?epoch=1&distro=rhel-8.9&rpmmod=nodejs:20:820:abc"},
			{Ref: "6", Purl: "pkg:rpm/redhat/nodejs@18.19-1?epoch=1&distro=rhel-8.9"},
			{Ref: "7", Purl: "pkg:rpm/redhat/bash@5.1-1?arch=x86_64&distro=rhel-8.9"},
			{Ref: "8", Purl: "pkg:rpm/redhat/bash@5.1-1?arch=s390x&distro=rhel-8.9"},
			{Ref: "9", Purl: "pkg:rpm/redhat/bash@5.1-1?distro=rhel-8.9"},
		}}},
	}
	out, result := w.run(t)
	var got []string
	for _, f := range out.findings(t) {
		got = append(got, f.Component.Ref+" "+f.Advisory.ID+" "+string(f.Match)+" "+strings.Join(f.Fixed, ","))
	}
	require.ElementsMatch(t, []string{
		"1 D range 3.0.12-1,3.0.14-1", "1 D-12 range 3.0.13-1", "3 D range 3.0.12-1", "4 M range 1:18.20-1", "8 X range 0:5.2-1", "9 X range 0:5.2-1",
	}, got)
	require.EqualValues(t, 1, result.Snapshot.Evidence.ComponentsWithoutRelease)
	require.Contains(t, fmt.Sprint(result.Snapshot.Unread.First), "pkg:deb/debian/openssl@1.0-1")
}

// Components of SUSE's distributions and of Photon OS meet what is filed under
// their releases, and are named where nothing says which release they are of.
func TestSUSEAndPhotonMeet(t *testing.T) {
	one := func(id, ecosystem string) advisory.Advisory {
		return advisory.Advisory{ID: id, Affected: []advisory.Affected{{Ecosystem: ecosystem, Name: "curl", Ranges: []advisory.Range{{Type: "ECOSYSTEM", Events: events("i", "0", "f", "8.0-2")}}}}}
	}
	w := &world{
		advisories: []advisory.Advisory{
			one("base", "SUSE:Linux Enterprise Module for Basesystem 15 SP5"), one("ltss", "SUSE:Linux Enterprise Server 15 SP5-LTSS"), one("older", "SUSE:Linux Enterprise Server 15 SP4"),
			one("cloud", "SUSE:Linux Enterprise Module for Public Cloud 15"), one("manager", "SUSE:Manager Server 4.3"),
			one("photon", "Photon OS:5.0"), one("photon4", "Photon OS:4.0"), one("rolling", "openSUSE:Tumbleweed"), one("leap", "openSUSE:Leap 15.5"),
		},
		sboms: []sbom.Inventory{{ID: "s", Subject: "s", Components: []sbom.Component{
			{Ref: "1", Purl: "pkg:rpm/suse/curl@8.0-1?distro=sles-15.5"},
			{Ref: "2", Purl: "pkg:rpm/photon/curl@8.0-1?distro=photon-5.0"},
			{Ref: "3", Purl: "pkg:rpm/opensuse/curl@8.0-1?distro=opensuse-tumbleweed-20240101"},
			{Ref: "4", Purl: "pkg:rpm/suse/curl@8.0-1"},
			{Ref: "5", Purl: "pkg:rpm/photon/curl@8.0-1"},
		}}},
	}
	out, result := w.run(t)
	var got []string
	for _, f := range out.findings(t) {
		got = append(got, f.Component.Ref+" "+f.Advisory.ID)
	}
	require.ElementsMatch(t, []string{"1 base", "1 ltss", "1 cloud", "2 photon", "3 rolling"}, got)
	require.EqualValues(t, 2, result.Snapshot.Evidence.ComponentsWithoutRelease)
	require.Len(t, result.Snapshot.Unread.First, 2)
}

// Where one side does not say of which module stream it is, versions cannot be
// compared: what a stream's version would be affected by is undetermined.
func TestModulesMeet(t *testing.T) {
	nodejs := func(id, ecosystem, module, fixed string) advisory.Advisory {
		return advisory.Advisory{ID: id, Affected: []advisory.Affected{{Ecosystem: ecosystem, Name: "nodejs", Module: module, Ranges: []advisory.Range{{Type: "ECOSYSTEM", Events: events("i", "0", "f", fixed)}}}}}
	}
	for format, want := range map[string][]string{
		"osv": {
			"rpmmod ALSA undetermined", "label ALSA undetermined", "property ALSA undetermined", "modular ALSA range", "plain ALSA range",
			"18 STREAM range", "modular18 STREAM undetermined",
		},
		"csaf": {"modular ALSA range", "plain ALSA range", "18 STREAM range", "modular18 STREAM undetermined"},
	} {
		w := &world{
			advisories: []advisory.Advisory{nodejs("ALSA", "AlmaLinux:8", "", "1:16.20-1.module_el8.9.0"), nodejs("STREAM", "Red Hat:enterprise_linux:8::appstream", "nodejs:18", "1:18.20-1")},
			sboms: []sbom.Inventory{{ID: "s", Subject: "s", Components: []sbom.Component{
				{Ref: "rpmmod", Purl: "pkg:rpm/almalinux/nodejs@16.14-1?epoch=1&rpmmod=nodejs:16:820:abc&distro=almalinux-8"},
				{Ref: "label", Purl: "pkg:rpm/almalinux/nodejs@16.14-2?epoch=1&modularitylabel=nodejs:16:820:abc&distro=almalinux-8"},
				{Ref: "property", Purl: "pkg:rpm/almalinux/nodejs@16.14-3?epoch=1&distro=almalinux-8", Module: "nodejs:16:820:abc"},
				{Ref: "mended", Purl: "pkg:rpm/almalinux/nodejs@16.21-1?epoch=1&rpmmod=nodejs:16:820:abc&distro=almalinux-8"},
				{Ref: "modular", Purl: "pkg:rpm/almalinux/nodejs@16.14-1.module_el8.9.0?epoch=1&distro=almalinux-8"},
				{Ref: "plain", Purl: "pkg:rpm/almalinux/nodejs@16.14-4?epoch=1&distro=almalinux-8"},
				{Ref: "18", Purl: "pkg:rpm/redhat/nodejs@18.19-1?epoch=1&modularitylabel=nodejs:18:820:abc&distro=redhat-8.9"},
				{Ref: "16", Purl: "pkg:rpm/redhat/nodejs@16.19-1?epoch=1&modularitylabel=nodejs:16:820:abc&distro=redhat-8.9"},
				{Ref: "modular18", Purl: "pkg:rpm/redhat/nodejs@18.19-1.module+el8.9.0+1?epoch=1&distro=redhat-8.9"},
				{Ref: "none", Purl: "pkg:rpm/redhat/nodejs@18.19-1.el8?epoch=1&distro=redhat-8.9"},
			}}},
		}
		out, _ := w.run(t, func(in *Input) { in.Files[0] = fileOf(renamed(t, in.Files[0], format)) })
		var got []string
		for _, f := range out.findings(t) {
			got = append(got, f.Component.Ref+" "+f.Advisory.ID+" "+string(f.Match))
		}
		require.ElementsMatch(t, want, got, format)
		for _, trace := range out.traces(t) {
			if trace.Input.Match.How == undetermined {
				require.Contains(t, trace.Input.Match.Why, "nodejs:1")
				require.Empty(t, trace.Input.Match.Fixed)
			}
		}
	}
}

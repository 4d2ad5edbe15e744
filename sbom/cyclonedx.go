package sbom

import (
	"fmt"
	"strconv"

	"github.com/stella-ops/exportcenter/internal/jsonobject"
)

// maxNesting bounds components within components.
const maxNesting = 32

// cyclonedx reads a document of CycloneDX 1.2 to 1.7. The component that the
// document is about is the first component.
func (r *reader) cyclonedx(doc jsonobject.Object) error {
	format, _, err := doc.Text("bomFormat")
	if err != nil || format != "CycloneDX" {
		return fmt.Errorf("bomFormat %.40q is not CycloneDX", format)
	}
	if r.found.ID, _, err = doc.Text("serialNumber"); err != nil {
		return err
	}
	r.found.Version = "1" // CycloneDX 1.6 JSON schema, default of "version"
	if raw := doc.Field("version"); raw != nil {
		r.found.Version = ""
		if _, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
			r.found.Version = string(raw)
		}
	}
	metadata, there, err := doc.Object("metadata")
	if err != nil {
		return err
	}
	if there {
		main, there, err := metadata.Object("component")
		if err != nil {
			return err
		}
		if there {
			if err := r.cyclonedxComponent(main, 0); err != nil {
				return err
			}
			c := r.found.Components[0]
			r.found.Subject, r.found.Main = c.Purl, c.Ref
			if c.Purl == "" {
				r.found.Subject = c.Name
			}
		}
	}
	return r.cyclonedxComponents(doc, 1)
}

func (r *reader) cyclonedxComponents(o jsonobject.Object, depth int) error {
	return o.Each("components", func(c jsonobject.Object) error {
		if depth > maxNesting {
			return fmt.Errorf("%s is nested deeper than %d", c.Name(""), maxNesting)
		}
		return r.cyclonedxComponent(c, depth)
	})
}

// cyclonedxComponent reads a component and those within it. Its name has its
// group before it, as "group/name".
func (r *reader) cyclonedxComponent(o jsonobject.Object, depth int) error {
	c := Component{Ref: r.text(o, "bom-ref"), Purl: r.purl(o, "purl"), Version: r.text(o, "version")}
	var err error
	if c.Name, err = o.RequireText("name"); err != nil {
		return err
	}
	if group := r.text(o, "group"); group != "" {
		c.Name = group + "/" + c.Name
	}
	if c.Hashes, err = r.hashes(o, "hashes", "alg", "content"); err != nil {
		return err
	}
	if err := r.trivySource(o, &c); err != nil {
		return err
	}
	if err := r.add(c); err != nil {
		return err
	}
	return r.cyclonedxComponents(o, depth+1)
}

// trivySource reads the source package from Trivy's properties, whose version is
// [epoch:]version[-release], and the label of a modular RPM.
func (r *reader) trivySource(o jsonobject.Object, c *Component) error {
	var epoch, release string
	err := o.Each("properties", func(p jsonobject.Object) error {
		var into *string
		switch r.text(p, "name") {
		case "aquasecurity:trivy:SrcName":
			into = &c.SourceName
		case "aquasecurity:trivy:SrcVersion":
			into = &c.SourceVersion
		case "aquasecurity:trivy:SrcRelease":
			into = &release
		case "aquasecurity:trivy:SrcEpoch":
			into = &epoch
		case "aquasecurity:trivy:Modularitylabel":
			into = &c.Module
		}
		if into != nil && *into == "" {
			*into = r.text(p, "value")
		}
		return r.count(1)
	})
	if c.SourceVersion != "" && release != "" {
		c.SourceVersion += "-" + release
	}
	if c.SourceVersion != "" && epoch != "" && epoch != "0" {
		c.SourceVersion = epoch + ":" + c.SourceVersion
	}
	return err
}

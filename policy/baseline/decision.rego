# METADATA
# title: The built-in policy
# description: >-
#   Critical and high findings block, unless a VEX statement says that they do
#   not apply. What is not known is never taken for harmless.
package stellaops.policy

# The first of these that applies decides.
decision := {"action": "suppress", "reason": short(said), "rules": ["vex-not-affected"]} if {
	input.vex.status == "not_affected"
	explained
} else := {"action": "suppress", "reason": short(said), "rules": ["vex-fixed"]} if {
	input.vex.status == "fixed"
} else := {"action": "warn", "reason": short(said), "rules": ["vex-unexplained"]} if {
	input.vex.status == "not_affected"
} else := {"action": "warn", "reason": short(said), "rules": ["vex-under-investigation"]} if {
	input.vex.status == "under_investigation"
} else := {"action": "warn", "reason": short(reason), "rules": ["undetermined"]} if {
	input.match.how == "undetermined"
	reason := sprintf("it is not known whether %s is affected: %s", [input.component.purl, input.match.why])
} else := {"action": action, "reason": short(reason), "rules": [rule]} if {
	action := data.stellaops.baseline.actions[input.advisory.severity]
	rule := sprintf("severity-%s", [input.advisory.severity])
	reason := sprintf("%s is affected by %s, severity %s%s", [input.component.purl, input.advisory.id, input.advisory.severity, remedy])
}

# A statement that something is not affected says why (OpenVEX 0.2.0, "Status
# Labels": a justification or an impact statement must be given).
explained if input.vex.justification != ""

explained if input.vex.impact != ""

said := sprintf("stated %s by %s: %s", [input.vex.status, input.vex.source, concat("; ", texts)]) if {
	texts := [text | some text in [input.vex.justification, input.vex.impact, input.vex.action]; text != ""]
	count(texts) > 0
} else := sprintf("stated %s by %s", [input.vex.status, input.vex.source])

remedy := sprintf("; fixed in %s", [concat(", ", input.match.fixed)]) if {
	count(input.match.fixed) > 0
} else := ""

# A reason has at most 4,096 bytes; texts of publishers may have more.
short(text) := substring(text, 0, 1000)

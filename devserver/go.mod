module github.com/stella-ops/exportcenter/devserver

go 1.26.0

require (
	go.temporal.io/api v1.64.1
	go.temporal.io/server v1.32.1
	github.com/temporalio/ui-server/v2 v2.55.0
)

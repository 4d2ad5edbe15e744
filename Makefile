# `make` alone prints the targets. Everything is built by the Go toolchain;
# `make demo` and `make test` fetch PostgreSQL from Debian when it is missing.

export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)
COUNT ?= 30
SEED ?= 1
HOUSES ?= 3
DOCS ?= 100000

.DEFAULT_GOAL := help
.PHONY: help build demo up test tools check bench torture planted upgrade fuzz generate clean programs postgres

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: programs bin/exportcenter-temporal ## bin/exportcenter, bin/stella and what `up` starts

demo: build postgres ## build, start, import, export, download, verify, stop; KEEP=1 keeps it running
	@tools/demo.sh

up: build postgres ## build and run everything on .data until Ctrl-C
	@exec bin/exportcenter up --data .data

# Tests of the house start the built programs. devserver, a module of its own,
# is tested through them; its own tests would link the whole cluster again.
test: postgres build ## all tests; needs nothing running
	go test ./... -count=1 -timeout 30m

tools: ## foreign programs, pinned, into .tools/bin; names what cannot be had
	@tools/install.sh

check: ## formatting, vet, staticcheck, workflowcheck, house test, generated files
	@tools/check.sh
	cd devserver && go vet ./...

bench: postgres build ## a whole run beside the machine's own limit, also build/bench.json; DOCS=n STRICT=1
	@go run ./bench -docs $(DOCS) -out build/bench.json $(if $(STRICT),-strict)

torture: postgres build ## kills, stops and restarts processes; the last line has the loss counters; COUNT=n SEED=n HOUSES=n
	@mkdir -p build && rm -f build/torture.json
	@code=0; FAULTS=all go test ./bundle/verify -count=1 -timeout 2h -run 'Flip|Truncated|Mutations' || code=1; \
	FAULTS=all go test ./adapters/... -count=1 -timeout 2h -run 'EveryBitCounts' || code=1; \
	FAULTS=all SEED=$(SEED) go test ./faults -count=1 -v -timeout 2h -run 'FaultPoints' || code=1; \
	COUNT=$(COUNT) SEED=$(SEED) HOUSES=$(HOUSES) TORTURE_RESULT=$(CURDIR)/build/torture.json \
	go test -tags torture ./e2e -count=1 -v -timeout 48h -run '^TestTorture' || code=1; \
	cat build/torture.json; exit $$code

planted: ## plants deliberate bugs into a copy of the tree; the tests must notice each; BUG=text for some
	go test -tags planted ./e2e -count=1 -v -timeout 2h -run '^TestPlantedBugs$$'

upgrade: postgres build ## two releases beside each other while runs are in flight; PREVIOUS=commit
	FAULTS=all PREVIOUS=$(PREVIOUS) go test ./e2e -count=1 -v -timeout 1h -run '^TestWorkersOfTwoReleases$$'

fuzz: ## every reader of bytes from outside, FUZZTIME=60s each
	@tools/fuzz.sh

generate: ## write generated code again
	@tools/install.sh oapi-codegen
	go generate ./frontend/... ./client/...

clean: ## remove what was built; data and tools stay
	rm -rf bin build

# The Go toolchain knows by itself what of these is up to date.
programs:
	go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/exportcenter ./cmd/stella

# The embedded Temporal cluster takes minutes from nothing and seconds to link,
# so it is built only when its own folder changes.
bin/exportcenter-temporal: $(wildcard devserver/*.go) devserver/go.mod devserver/go.sum
	@echo "building the embedded Temporal cluster (some minutes the first time)"
	cd devserver && go build -ldflags '-s -w' -o ../$@ .

postgres:
	@tools/postgres.sh >/dev/null

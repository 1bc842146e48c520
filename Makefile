# The sandbox's program, built from sandbox/ whenever its source changed.
sandbox := $(CURDIR)/.sandbox/sandbox
source := main.go internal app sandbox
# Somebody else's app/ may not be a Go module.
app := $(if $(wildcard app/go.mod),app)
modules := . $(app) sandbox sandbox/docker-plugin
tool := go tool -modfile=$(CURDIR)/tools/go.mod
# kube-score with all checks, optional ones too, except the waived ones.
score = $(tool) kube-score score --output-format=ci --exit-one-on-warning \
	$(shell awk '!/^\#/ {print "--ignore-test=" $$1}' testdata/kube-score-waivers) \
	$(shell $(tool) kube-score list | awk -F, '$$4 == "optional" {print "--enable-optional-test=" $$1}')
# The flags of the sandbox (goFlags in sandbox/internal/cluster/build.go): with others,
# packages that the program, the tests and the sandbox share would be compiled twice.
export CGO_ENABLED := 0
go_flags := -trimpath -buildvcs=false -gcflags=all=-dwarf=false -ldflags=-s
export GOFLAGS := $(strip $(filter-out $(go_flags),$(GOFLAGS)) $(go_flags))
# Without the part of vet that `go test` runs: all of it runs before the tests.
test := go test -vet=off
# The race detector runs on the modules that start goroutines. It needs a C compiler,
# which a bare machine does not have. It leaves out the hash of passwords, which starts no
# goroutine and would take ten times as long.
race := $(if $(shell command -v gcc),CGO_ENABLED=1 $(test) -race -gcflags=golang.org/x/crypto/blowfish=-race=false,$(test))

# Compilers and linters that collect less garbage, which saves a tenth of a cold run.
preview golden unit: export GOGC := 400

.PHONY: up preview golden test unit e2e bench demo-autoscale edge monitoring down status env program

# Starts the sandbox and deploys stack dev on it.
up: program
	@$(sandbox) up

# Compares what each stack declares with the commit `base`, without a cluster. The
# manifests are written to .build/manifests.
preview:
	@go build -o .build/preview ./internal/preview
	@rm -rf .build/manifests
	@git --no-pager diff $(or $(base),HEAD) -- testdata/*.yaml 2>/dev/null || true
	@status=0; .build/preview -base $(or $(base),HEAD) || status=1; \
	$(score) .build/manifests/*.yaml >.build/kube-score.out || { grep -vE '^\[(OK|SKIPPED)' .build/kube-score.out; status=1; }; exit $$status

# Writes the golden files: the manifests, for review.
golden:
	@go build -o .build/preview ./internal/preview
	@.build/preview -out testdata

# Unit tests run while the sandbox starts, which leaves half of the CPU idle.
test: preview program
	@if $(sandbox) status >/dev/null 2>&1; then \
		$(MAKE) --no-print-directory unit; \
	else \
		trap '$(sandbox) down' EXIT; $(MAKE) --no-print-directory --jobs=2 unit up; \
	fi && $(MAKE) --no-print-directory e2e

unit:
	@mkdir -p .build
	@test -z "$$(gofmt -l $(source))" || { echo "not gofmt-ed:"; gofmt -l $(source); exit 1; }
	@$(tool) actionlint
	@for module in $(modules); do (cd $$module && go vet ./... && $(tool) staticcheck ./...) || exit 1; done
	$(test) ./...
	$(if $(app),cd app && $(race) ./...)
	cd sandbox && $(race) ./internal/...
	cd sandbox/docker-plugin && $(test) ./...

# Runs the end-to-end tests on the sandbox, and takes it down if it was not up before. More
# of them may run than there are: one that waits for its turn counts as running.
e2e: program
	@go build -o .build/program .
	@if ! $(sandbox) status >/dev/null 2>&1; then \
		trap '$(sandbox) down' EXIT; $(sandbox) up || exit 1; \
	fi; \
	cd sandbox && $(tool) gotestsum --format=standard-verbose -- -vet=off -count=1 -timeout=60m -parallel=100 ./e2e

# Prints the figures in the documentation, starting with empty caches.
bench:
	@sandbox/bench.sh

# Scales two pods up and back under load, on CPU and on requests, live and as pictures.
demo-autoscale: program
	@$(sandbox) status >/dev/null && cd sandbox && \
		go test -count=1 -parallel=1 -timeout=30m -v -run='^TestTheReplicasFollowThe' ./e2e -pictures=$(CURDIR)/docs

edge monitoring down status env: program
	@$(sandbox) $@

program:
	@mkdir -p .build && go -C sandbox build -o $(sandbox) .

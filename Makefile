# The sandbox's program, built from sandbox/ whenever its source changed.
sandbox := .sandbox/sandbox
source := main.go internal app sandbox
# The race detector needs a C compiler, which a bare machine does not have.
race := $(if $(shell command -v gcc),-race)
# The manifests of every stack pass kube-score, its optional checks too, but for these.
waived = $(shell awk '!/^\#/ {print "--ignore-test=" $$1}' testdata/kube-score-waivers)

.PHONY: up preview golden test unit e2e bench demo-autoscale down status env program

# From nothing to the running service, on this machine.
up: program
	@$(sandbox) up

# What a change of this project changes in each stack, as far as that can be told
# without a cluster. The manifests are left in a folder.
preview:
	@go build -o .build/preview ./internal/preview
	@.build/preview -out .build/manifests $(if $(base),-base $(base))

# The same, written to where it is reviewed.
golden:
	@go build -o .build/preview ./internal/preview
	@.build/preview -out testdata

test: unit e2e

unit:
	@test -z "$$(gofmt -l $(source))" || { echo "not gofmt-ed:"; gofmt -l $(source); exit 1; }
	@go -C sandbox/parts/staticcheck build -o $(CURDIR)/.build/staticcheck honnef.co/go/tools/cmd/staticcheck
	@go -C sandbox/parts/actionlint build -o $(CURDIR)/.build/actionlint github.com/rhysd/actionlint/cmd/actionlint
	@.build/actionlint
	@go -C sandbox/parts/kubescore build -o $(CURDIR)/.build/kube-score github.com/zegl/kube-score/cmd/kube-score
	@.build/kube-score score --output-format=ci --exit-one-on-warning $(waived) \
		$$(.build/kube-score list | awk -F, '$$4 == "optional" {print "--enable-optional-test=" $$1}') testdata/*.yaml >.build/kube-score.out || \
		{ grep -E '^\[(CRITICAL|WARNING)' .build/kube-score.out; exit 1; }
	for module in . app sandbox; do (cd $$module && go vet ./... && $(CURDIR)/.build/staticcheck ./...) || exit 1; done
	go test $(race) ./...
	go -C app test $(race) ./...
	go -C sandbox test $(race) $$(go -C sandbox list ./... | grep -v /e2e)

# On the sandbox, which is taken down afterwards if it was not up before.
e2e: program
	@if ! $(sandbox) status >/dev/null 2>&1; then \
		trap '$(sandbox) down' EXIT; $(sandbox) up || exit 1; \
	fi; \
	eval "$$($(sandbox) env)"; go -C sandbox test -count=1 -timeout=60m -parallel=4 -v ./e2e

# The figures of the README's "Figures" section.
bench:
	@go -C sandbox run ./bench

# Two to ten pods under load and back, live and as a picture.
demo-autoscale: program
	@$(sandbox) status >/dev/null && eval "$$($(sandbox) env)" && \
		go -C sandbox run ./demo -picture ../docs/autoscale.svg

down status env: program
	@$(sandbox) $@

program:
	@go -C sandbox build -o ../$(sandbox) .

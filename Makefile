# Every target runs at a desk as it does elsewhere. Values can be given on the
# command line: make soak FROM=1000 SEEDS=500
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

FROM    ?= 1
SEEDS   ?= 1000
SECONDS ?= 10
STATES  ?= 2000000
RESULTS ?= soak.results
PACKETS ?= 10000000
REQUESTS ?= 1000000
FILES   ?= 1000000
PKG     ?= ./...
PREFIX  ?= /usr/local
DESTDIR ?=

.PHONY: help build capi install uninstall man test deps interop interopdeps check lint bench microbench soak soak-quorum soak-groups soak-events soak-kv soak-real mutants explore fuzz fuzz-soak fuzz-files clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/moot
	CGO_ENABLED=0 go build -trimpath -buildvcs=auto -o bin/moot ./cmd/moot

capi: ## build the C libraries into bin/capi
	$(MAKE) -C capi OUT=../bin/capi

# What install puts where; a service manager looks below both /usr and /usr/local.
BIN         = $(DESTDIR)$(PREFIX)/bin/moot
UNIT        = $(DESTDIR)$(PREFIX)/lib/systemd/system/moothall.service
OPTIONS     = $(DESTDIR)/etc/default/moothall
MAN         = $(DESTDIR)$(PREFIX)/share/man/man
COMPLETIONS = bash:bash-completion/completions/moot zsh:zsh/site-functions/_moot fish:fish/vendor_completions.d/moot.fish

install: build ## build, and install below PREFIX=/usr/local, or below DESTDIR for packages
	install -D -m 0755 bin/moot $(BIN)
	install -d $(dir $(UNIT))
	sed 's|/usr/bin/moot|$(PREFIX)/bin/moot|' packaging/systemd/moothall.service > $(UNIT)
	chmod 0644 $(UNIT)
	[ -e $(OPTIONS) ] || install -D -m 0644 packaging/systemd/moothall.default $(OPTIONS)
	for c in $(COMPLETIONS); do \
		file=$(DESTDIR)$(PREFIX)/share/$${c#*:}; install -d $${file%/*}; bin/moot completion $${c%%:*} > $$file; chmod 0644 $$file; done
	install -d $(MAN)1 $(MAN)7 $(MAN)8
	for page in man/*; do install -m 0644 $$page $(MAN)$${page##*.}; done
	@if command -v cc > /dev/null && command -v objcopy > /dev/null; then $(MAKE) -C capi install OUT=../bin/capi; \
	else echo "The C libraries are left out: they need cc and objcopy."; fi

man: ## write the manual pages in man/ anew from the help of the commands
	go test -count=1 ./cmd/moot -run '^TestManualPages$$' -update

uninstall: ## remove what install put below PREFIX; settings and state stay
	rm -f $(BIN) $(UNIT)
	for c in $(COMPLETIONS); do rm -f $(DESTDIR)$(PREFIX)/share/$${c#*:}; done
	for page in man/*; do rm -f $(MAN)$${page##*.}/$${page#man/}; done
	$(MAKE) -C capi uninstall

test: deps check ## everything that has to pass: check, then all tests; within 15 minutes on two cores
	go run ./tools/runtests

deps:
	@scripts/testdeps.sh

interop: interopdeps ## what Debian has on top of Corosync, on Debian's corosync and on our agents; within 20 minutes
	MOOT_INTEROP=1 go test -count=1 -timeout 40m -v -run '^TestDropIn' ./internal/interop

interopdeps:
	@scripts/interopdeps.sh

check: ## gofmt, go vet, staticcheck, walls between packages, purity of the cores, comments and examples
	@unformatted=$$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 -r gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these files:"; echo "$$unformatted"; exit 1; fi
	go mod tidy -diff
	go vet ./...
	go vet -tags mutants ./...
	go tool staticcheck ./...
	go test ./internal/walls

lint: check ## the same as check

bench: ## measure three agents beside raw UDP and an installed corosync
	go run ./cmd/moot bench --corosync

microbench: ## Go benchmarks of PKG=./...
	go test -run '^$$' -bench . -benchmem $(PKG)

soak: ## simulate SEEDS=n clusters from seed FROM=k on; results of runs at one commit add up in RESULTS=soak.results
	go run -buildvcs=true ./cmd/moot sim --from $(FROM) --seeds $(SEEDS) --results $(RESULTS)

soak-quorum: ## the same with plans about quorum: its options, operators, devices, and the faults that matter to them
	go run -buildvcs=true ./cmd/moot sim --quorum --from $(FROM) --seeds $(SEEDS) --results $(RESULTS)

soak-groups: ## the same with plans about Group Services: clients that join, vote and die in the phases of protocols
	go run -buildvcs=true ./cmd/moot sim --groups --from $(FROM) --seeds $(SEEDS) --results $(RESULTS)

soak-events: ## the same with plans about cluster events: clients that register, publish, read slowly and die while memberships come and go
	go run -buildvcs=true ./cmd/moot sim --events --from $(FROM) --seeds $(SEEDS) --results $(RESULTS)

soak-kv: ## simulate the key-value store of examples/kv under faults SEEDS=n times and have porcupine judge its histories
	KV_SEEDS=$(SEEDS) go test -count=1 -timeout 0 -v -run '^TestLinearizable$$' ./examples/kv

soak-real: ## real processes under faults, for SECONDS=n; the key-value store beside five agents too
	MOOT_SOAK_SECONDS=$(SECONDS) go test -count=1 -timeout 0 -v -run Soak ./node/... ./cmd/... ./internal/interop ./examples/kv

mutants: ## plant each known fault and see that the simulator finds it; within 20 minutes on two cores
	go test -tags mutants -count=1 -timeout 60m -v -run '^TestMutants$$' ./internal/sim/mutants -args -doc ../../../docs/mutants.md
	go test -tags mutants -count=1 -v -run Mutants ./internal/sim/explore

explore: ## walk small clusters exhaustively, three nodes for STATES=n distinct states; within 12 minutes and 8 GB on two cores
	MOOT_EXPLORE_STATES=$(STATES) GOGC=50 go test -v -count=1 -timeout 60m -run Explore ./internal/sim/explore

fuzz: ## every fuzz target for SECONDS=n
	scripts/fuzz.sh $(SECONDS)

fuzz-soak: ## attack clusters with PACKETS=n datagrams and the Corosync door with REQUESTS=n; some minutes each
	go test ./internal/sim/fuzz -count=1 -timeout 0 -v -run '^TestSoak$$' -args -packets $(PACKETS)
	go test ./internal/door/corosync -count=1 -timeout 0 -v -run '^TestFuzzedRequests$$' -args -requests $(REQUESTS)

fuzz-files: ## FILES=n changed configuration files in both languages; some minutes
	for target in FuzzDecode FuzzDecodeTOML; do go test ./config -run '^$$' -fuzz "^$$target$$" -fuzztime $(FILES)x; done

clean: ## remove what was built
	rm -rf bin

# Rehearsal. `make` alone lists what can be made.

.DEFAULT_GOAL := help
.PHONY: help deps build estimate test bench lint format install clean
MAKEFLAGS += --no-print-directory

# What the build needs besides a Swift 6 toolchain: packages of Debian and Ubuntu, and the commands they bring.
PACKAGES := git ca-certificates g++ pkg-config zlib1g-dev libopenblas-dev libopenmpi-dev openmpi-bin
COMMANDS := git c++ mpirun

PREFIX ?= /usr/local
# Further arguments of `make estimate`, as in `make estimate ARGS='--format json'`.
ARGS ?=

SWIFT ?= swift
REHEARSE := .build/release/rehearse

# Open MPI refuses to start as root, which containers are; the tests may.
export OMPI_ALLOW_RUN_AS_ROOT := 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM := 1
# More ranks than cores: a waiting rank must give its core away.
export OMPI_MCA_mpi_yield_when_idle := 1
export OPENBLAS_NUM_THREADS := 1

section = printf '\n==== %s\n' '$(1)'

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

deps: ## install what the build needs and is missing
	@command -v $(SWIFT) >/dev/null || { echo 'needed: a Swift 6 toolchain, with swift on the PATH' >&2; exit 1; }
	@$(SWIFT) --version 2>/dev/null | grep -Eq 'Swift version ([6-9]|[1-9][0-9])\.' \
	  || { echo "needed: Swift 6 or later; found: $$($(SWIFT) --version 2>/dev/null | head -n 1)" >&2; exit 1; }
	@if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then \
	  absent=; for command in $(COMMANDS); do command -v $$command >/dev/null || absent=1; done; \
	  [ -z "$$absent" ] || { echo 'needed, and apt is not here to install it: $(PACKAGES)' >&2; exit 1; }; \
	  exit 0; \
	fi; \
	missing=; root=; for package in $(PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q '^install ok installed$$' \
	    || missing="$$missing $$package"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	[ "$$(id -u)" = 0 ] || root=sudo; \
	[ -z "$$root" ] || command -v sudo >/dev/null \
	  || { echo "needed, and there is neither root nor sudo to install it:$$missing" >&2; exit 1; }; \
	echo "installing with apt-get:$$missing" >&2; \
	install="env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends$$missing"; \
	$$root $$install >&2 2>/dev/null || { $$root apt-get update -q >&2 && $$root $$install >&2; }

build: deps ## build the command for release
	@$(SWIFT) build -c release --product rehearse >&2

estimate: deps ## build, then estimate DeepSeek-V3's training (ARGS passes arguments on)
	@$(SWIFT) build -c release --product rehearse >&2
	@$(REHEARSE) estimate $(ARGS)

test: deps ## build and run every test, then compare the predictions with published figures
	@$(call section,building the tests)
	@$(SWIFT) build --build-tests
	@$(call section,running the tests)
	@$(SWIFT) test --skip-build --parallel
	@if ls Sources/rehearse/*.swift >/dev/null 2>&1; then \
	  $(call section,building for release) && $(SWIFT) build -c release --product rehearse \
	  && $(call section,comparing with published figures) && $(REHEARSE) validate --accept-explained \
	  && $(call section,all passed); \
	fi

# The last says with its exit code whether predictions are within their bounds.
bench: deps ## measure the command, readers of traces, kernels beside PyTorch, the network beside SimGrid, predicted steps
	@$(SWIFT) build -c release --product rehearse >&2
	@$(SWIFT) build -c release --product trace-bench >&2
	@Tests/bench/run $(REHEARSE)
	@.build/release/trace-bench 200
	@.build/release/trace-bench chakra
	@Tests/bench/network
	@Tests/bench/fleet $(REHEARSE)
	@Tests/bench/moe
	@Tests/bench/prediction $(REHEARSE)

lint: ## check the style of the sources
	@$(SWIFT) format lint -r --strict --parallel Package.swift Sources Tests

format: ## put the sources into that style
	@$(SWIFT) format -i -r --parallel Package.swift Sources Tests

# The resources stand beside the executable, where it looks for them; a link in bin finds both.
install: deps ## install the command under PREFIX (default /usr/local)
	@$(SWIFT) build -c release --product rehearse >&2
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/lib/rehearsal'
	install '$(REHEARSE)' '$(DESTDIR)$(PREFIX)/lib/rehearsal/rehearse'
	cp -R .build/release/Rehearsal_*.resources '$(DESTDIR)$(PREFIX)/lib/rehearsal/'
	ln -sf ../lib/rehearsal/rehearse '$(DESTDIR)$(PREFIX)/bin/rehearse'

clean: ## remove what was built
	rm -rf .build

# meshd: `make run` builds it and shows it at work; `make test` runs everything CI runs.

SWIFT ?= swift
PREFIX ?= /usr/local
BUILD_PACKAGES = libyaml-dev libnghttp2-dev libssl-dev libsystemd-dev
TEST_PACKAGES = $(BUILD_PACKAGES) curl docker.io bind9-dnsutils haproxy nginx libnginx-mod-stream wrk python3 \
	python3-websockets python3-h2 python3-grpcio etcd-server etcd-client procps strace gcc openssl nghttp2-client \
	nghttp2-server systemd util-linux iproute2
BINARY = .build/release/meshd
SOURCES = Package.swift Sources Tests perf/allocations
FUZZ_SECONDS ?= 60

.PHONY: run build test lint format install alloc perf perf-check scale fuzz packages test-packages clean

run: build
	$(BINARY) demo

# Leaves .build/release/meshd with the Swift runtime inside: one file to copy to a node.
build: packages
	$(SWIFT) build -c release --product meshd --static-swift-stdlib

# With MESHD_TEST_ETCD=FOLDER in the environment, tests take etcd and etcdctl from there, of another version.
test: test-packages lint
	$(SWIFT) build --build-tests
	SWIFT=$(SWIFT) tools/test --skip-build
	$(MAKE) build
	$(BINARY) demo --once
	perf/run --allocations
	$(MAKE) perf-check

lint:
	$(SWIFT) format lint --strict --recursive $(SOURCES)

format:
	$(SWIFT) format --in-place --recursive $(SOURCES)

install: build
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/meshd

# What a warm meshd allocates per operation, against perf/allocations.json.
alloc: test-packages build
	perf/run --allocations

# Compares with real peers in one run and writes perf/RESULTS.md.
perf: test-packages build
	perf/install
	perf/run

# The same with tiny inputs, so that the harness cannot rot.
perf-check:
	perf/run --check
	perf/run --scale --check

# A large mesh on etcd: writes perf/RESULTS-SCALE.md.
scale: test-packages build
	perf/run --scale

fuzz: packages
	fuzz/run $(FUZZ_SECONDS)

packages:
	@tools/packages $(BUILD_PACKAGES)

test-packages:
	@tools/packages $(TEST_PACKAGES)

clean:
	rm -rf .build

# SPDX-License-Identifier: BSD-2-Clause
#
# A thin front of meson: each target first installs the packages it needs (Debian), then calls meson.
#
#   make            build into build/
#   make run        what is on the network now (DEVICE=eth1), or in a capture (FILE=x.pcap, FILE=own)
#   make test       all tests, quick forms;  make test-long: the long forms too
#   make stage      install into stage/usr, usable in place
#   make install    install (PREFIX=/usr/local, DESTDIR=)
#   make bench      measure beside the peers;  make fuzz: FUZZ_SECONDS per target
#   make ci         everything that must hold before a change is pushed
PREFIX ?= /usr/local
DESTDIR ?=
BUILD ?= build
FUZZ_SECONDS ?= 300

SETUP = meson setup --prefix=$(PREFIX) --libdir=lib --sbindir=sbin
SETUP_STAGE = meson setup --prefix=/usr --libdir=lib --sbindir=sbin -Dtests=false -Dbench=false

all: build

deps-%:
	@tools/install-deps build $*

# meson reconfigures by itself when a meson.build changes; a half-made directory is made anew.
build: deps-build
	@[ -f $(BUILD)/build.ninja ] || { rm -rf $(BUILD); $(SETUP) $(BUILD); }
	@ninja -C $(BUILD)

stage: deps-build
	@[ -f build-stage/build.ninja ] || { rm -rf build-stage; $(SETUP_STAGE) build-stage; }
	@ninja -C build-stage
	@rm -rf stage
	@DESTDIR=$(CURDIR)/stage meson install -C build-stage --no-rebuild --quiet

install: build
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

run: deps-run stage
	@export DEVICE="$(DEVICE)" && exec tools/run $(FILE)

test: deps-test build stage
	@tools/test $(BUILD)

test-long: deps-test build stage
	@MAPI_TEST_LONG=1 tools/test $(BUILD)

bench: deps-bench
	@[ -f build-bench/build.ninja ] || { rm -rf build-bench; \
		$(SETUP) -Dbuildtype=release -Dtests=false build-bench; }
	@ninja -C build-bench
	@bench/run build-bench

fuzz: deps-fuzz
	@tools/fuzz $(FUZZ_SECONDS)

ci:
	@.ci/run

clean:
	rm -rf $(BUILD) build-* stage

.PHONY: all build stage install run test test-long bench fuzz ci clean

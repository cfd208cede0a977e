# crtool: one non-recursive Makefile; wildcards find new rooms. `make help` lists the targets.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

CC ?= cc
ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX ?= /usr/local
ARCH := $(shell uname -m)

# B holds everything that is built, so that variants live side by side.
B ?= build$(if $(SAN),/san)
G := $(B)/gen

# Recipes say what they make; V=1 shows the commands.
say = $(if $(V),,@echo '  $(1)	$@'; )

# ---- flags ----

PKGS := libprotobuf-c libnl-3.0 libnl-route-3.0 libnl-genl-3.0 libcap libxxhash json-c
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wold-style-definition \
	-Wundef -Wvla -Wwrite-strings -Wformat=2 -Wimplicit-fallthrough -Wdate-time \
	-Wno-unused-parameter $(if $(WERROR),-Werror)
, := ,
SAN_FLAGS := $(if $(SAN),-fsanitize=address$(,)undefined -fno-omit-frame-pointer)

CFLAGS ?= -O2 -g
HOSTED := -std=gnu11 -D_GNU_SOURCE= $(WARN) $(CFLAGS) -pthread -I. -I$(G) $(PKG_CFLAGS) $(SAN_FLAGS)
BLOB := -std=gnu11 $(WARN) -O2 -ffreestanding -fno-stack-protector -fPIE -mgeneral-regs-only \
	-fno-asynchronous-unwind-tables $(BLOB_$(ARCH)) -I.
BLOB_x86_64 := -fcf-protection=none
# The mover hashes with vector registers; nobody's are at stake (parasite/mover.h).
MOVER := $(filter-out -mgeneral-regs-only,$(BLOB))
MOVER_fast_x86_64 := -mavx2
DEPS = -MMD -MP

# ---- what there is ----

PROTO := $(wildcard proto/*.proto)
PROTO_C := $(PROTO:%.proto=$(G)/%.pb-c.c)
PROTO_H := $(PROTO:%.proto=$(G)/%.pb-c.h)
GEN_H := $(PROTO_H) $(G)/proto/all.pb-c.h $(G)/syscalls.inc

SRC := $(wildcard cli/*.c migrate/*.c dump/*.c restore/*.c parasite/*.c parasite/arch/$(ARCH)/*.c images/*.c lib/*.c)
OBJ := $(SRC:%.c=$(B)/%.o) $(PROTO_C:.c=.o) \
	$(B)/parasite/blob/embed.o $(B)/parasite/mover/embed.o
LIB := $(B)/libcrtool.a

BLOB_OBJ := $(patsubst %,$(B)/%.o,$(basename $(wildcard parasite/blob/*.c)) parasite/arch/$(ARCH)/entry parasite/arch/$(ARCH)/syscall)
MOVER_OBJ := $(B)/parasite/mover/plain.o $(B)/parasite/mover/fast.o

ZDTM := $(patsubst %.c,$(B)/%,$(wildcard test/zdtm/*.c test/apps/*.c test/fault/*.c test/cli/*.c))
UNIT := $(patsubst %.c,$(B)/%,$(wildcard test/unit/*.c))
TOOLS := $(patsubst %.c,$(B)/%,$(wildcard test/tools/*.c))
FUZZ := $(patsubst %.c,$(B)/%,$(wildcard test/fuzz/*.c))
BENCH := $(patsubst %.c,$(B)/%,$(wildcard bench/*.c))

# ---- targets ----

.PHONY: all tests test check test-fault test-modes lint bench benches demo install clean help

all: $(B)/crtool ## build the tool: build/crtool
tests: all $(ZDTM) $(UNIT) $(TOOLS) $(FUZZ) ## build all that `make test` runs

test: ## install what is missing, build and run the tests; T=name runs the matching ones
	scripts/install-deps
	$(MAKE) -j$$(nproc) tests
	B=$(B) scripts/run-tests "$(T)"

check: test

test-modes: ## every victim as a snapshot, in increments, by a stream, lazily, compressed
	scripts/install-deps
	$(MAKE) -j$$(nproc) tests
	B=$(B) scripts/test-modes

test-fault: ## interfere at every single point, where `make test` takes some of them
	scripts/install-deps
	$(MAKE) -j$$(nproc) tests
	B=$(B) FAULT_STEP=1 BATS_TEST_TIMEOUT=7200 scripts/run-tests test/fault/

lint: ## gcc and clang with -Werror, formatting, rooms, layers, scripts
	scripts/lint

benches: $(BENCH)

bench: ## measure, each against its limit
	scripts/install-deps
	$(MAKE) -j$$(nproc) all benches
	B=$(B) bench/run

demo: ## see a program saved, killed, brought back
	scripts/install-deps
	$(MAKE) -j$$(nproc) all
	B=$(B) scripts/demo

install: all ## DESTDIR= PREFIX=/usr/local
	install -D -m 755 $(B)/crtool $(DESTDIR)$(PREFIX)/sbin/crtool
	install -D -m 644 doc/crtool.8 $(DESTDIR)$(PREFIX)/share/man/man8/crtool.8
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/crtool LICENSE README.md doc/SAFETY.md

clean: ## remove build/
	rm -rf build $(B)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 18
	@echo "  with CC=clang, WERROR=1, SAN=1 (ASan and UBSan), CFLAGS=, V=1"

# ---- generated ----

$(G)/proto/%.pb-c.c $(G)/proto/%.pb-c.h &: proto/%.proto
	@mkdir -p $(@D)
	$(call say,GEN)protoc-c --c_out=$(G) $<

$(G)/proto/all.pb-c.h: $(PROTO) Makefile
	@mkdir -p $(@D)
	$(call say,GEN)printf '#include "%s"\n' $(PROTO:.proto=.pb-c.h) >$@

$(G)/syscalls.inc: Makefile
	@mkdir -p $(@D)
	$(call say,GEN)echo '#include <asm/unistd.h>' | $(CC) -E -dM - | \
		sed -n 's/^#define __NR_\([a-z0-9_]*\) .*/[__NR_\1] = "\1",/p' | sort >$@

# ---- hosted code ----

$(G)/%.o: $(G)/%.c | $(GEN_H)
	$(call say,CC)$(CC) $(HOSTED) -w $(DEPS) -c $< -o $@

$(B)/%.o: %.c | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(HOSTED) $(DEPS) -c $< -o $@

$(LIB): $(filter-out $(B)/cli/main.o,$(OBJ))
	@rm -f $@
	$(call say,AR)ar rcs $@ $^

$(B)/crtool: $(B)/cli/main.o $(LIB)
	$(call say,LINK)$(CC) $(HOSTED) $^ -o $@ $(PKG_LIBS)

# ---- the blob: flat, position independent, without data ----

$(B)/parasite/blob/%.o: parasite/blob/%.c
	@mkdir -p $(@D)
	$(call say,BLOB)$(CC) $(BLOB) $(DEPS) -c $< -o $@

$(B)/parasite/arch/%.o: parasite/arch/%.S
	@mkdir -p $(@D)
	$(call say,BLOB)$(CC) $(BLOB) $(DEPS) -c $< -o $@

$(B)/blob.elf: parasite/blob/blob.lds $(BLOB_OBJ)
	$(call say,LINK)ld -T $< -o $@ $(BLOB_OBJ)
	@scripts/check-blob $@ $(BLOB_OBJ)

$(B)/blob.bin: $(B)/blob.elf
	@objcopy -O binary $< $@

# The assembler finds .incbin "blob.bin" by its -I.
$(B)/parasite/blob/embed.o: parasite/blob/embed.S $(B)/blob.bin
	@mkdir -p $(@D)
	$(call say,CC)$(CC) -I. -Wa,-I$(B) -c $< -o $@

# ---- the mover, likewise, for each sort of CPU ----

$(MOVER_OBJ): $(B)/parasite/mover/%.o: parasite/mover/mover.c
	@mkdir -p $(@D)
	$(call say,BLOB)$(CC) $(MOVER) $(MOVER_$*_$(ARCH)) $(DEPS) -c $< -o $@

$(B)/mover_%.elf: parasite/mover/mover.lds $(B)/parasite/mover/%.o $(B)/parasite/arch/$(ARCH)/mover.o $(B)/parasite/arch/$(ARCH)/syscall.o
	$(call say,LINK)ld -T $^ -o $@
	@scripts/check-blob $@ $(filter %.o,$^)

$(B)/mover_%.bin: $(B)/mover_%.elf
	@objcopy -O binary $< $@

$(B)/parasite/mover/embed.o: parasite/mover/embed.S $(B)/mover_plain.bin $(B)/mover_fast.bin
	@mkdir -p $(@D)
	$(call say,CC)$(CC) -I. -Wa,-I$(B) -c $< -o $@

# ---- tests and measurements ----

$(B)/test/zdtm/lib/zdtm.o: HOSTED := -std=gnu11 -D_GNU_SOURCE= $(WARN) -O1 -g -I. -Itest/zdtm/lib

# Victims know nothing of crtool; NAME_static.c becomes a static binary, NAME_preload.c a library for crtool itself.
$(ZDTM): $(B)/%: %.c $(B)/test/zdtm/lib/zdtm.o
	@mkdir -p $(@D)
	$(call say,CC)$(CC) -std=gnu11 -D_GNU_SOURCE= $(WARN) -O1 -g -pthread -I. -Itest/zdtm/lib $(DEPS) -MF $@.d \
		$(if $(filter %_preload,$@),-shared -fPIC $<,$(filter %.c %.o,$^)) -o $@ $(if $(filter %_static,$@),-static)

$(UNIT) $(TOOLS) $(BENCH): $(B)/%: %.c $(LIB) | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(HOSTED) $(DEPS) -MF $@.d $< $(LIB) -o $@ $(PKG_LIBS)

# Fuzz targets see the sources they test, instrumented: all that reads and restores.
# Not pointer-overflow: an empty array is NULL + 0.
FUZZ_CC := clang -std=gnu11 -D_GNU_SOURCE= -pthread -I. -I$(G) $(PKG_CFLAGS) -g -O1 \
	-fno-sanitize-recover=undefined
FUZZ_SAN := address$(,)undefined -fno-sanitize=pointer-overflow
FUZZ_OBJ := $(patsubst %.c,$(B)/fuzz/%.o,$(filter-out cli/% dump/%,$(SRC))) \
	$(PROTO:%.proto=$(B)/fuzz/gen/%.pb-c.o)
$(B)/fuzz/gen/%.o: $(G)/%.c | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,FUZZ)$(FUZZ_CC) -fsanitize=fuzzer-no-link$(,)$(FUZZ_SAN) -w $(DEPS) -c $< -o $@

$(B)/fuzz/%.o: %.c | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,FUZZ)$(FUZZ_CC) -fsanitize=fuzzer-no-link$(,)$(FUZZ_SAN) $(DEPS) -c $< -o $@

$(B)/libfuzz.a: $(FUZZ_OBJ) $(B)/parasite/blob/embed.o $(B)/parasite/mover/embed.o
	@rm -f $@
	$(call say,AR)ar rcs $@ $^

$(FUZZ): $(B)/%: %.c $(B)/libfuzz.a | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,FUZZ)$(FUZZ_CC) -fsanitize=fuzzer$(,)$(FUZZ_SAN) $(DEPS) -MF $@.d $< $(B)/libfuzz.a -o $@ $(PKG_LIBS)

-include $(OBJ:.o=.d) $(BLOB_OBJ:.o=.d) $(MOVER_OBJ:.o=.d) $(addsuffix .d,$(ZDTM) $(UNIT) $(TOOLS) $(FUZZ) $(BENCH)) $(FUZZ_OBJ:.o=.d)

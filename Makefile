# SPDX-License-Identifier: GPL-2.0-only
# Verst. `make demo` shows a live migration, `make check` tests all; both first install what the machine lacks.
# BUILD=dir builds elsewhere, CC=clang with clang, SAN=1 with address and undefined-behaviour sanitizers.

BUILD   ?= build$(if $(SAN),-san)
PREFIX  ?= /usr/local
VERSION := 0.1.0

CC      ?= gcc
CLANG   ?= clang
BPFTOOL ?= bpftool
CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wno-unused-parameter \
	   -Wno-missing-field-initializers
PKGS    := libprotobuf-c liblz4 libssh2 libxxhash libcap json-c libbpf libmnl
CPPFLAGS += -D_GNU_SOURCE -DVERST_VERSION='"$(VERSION)"' -I. -I$(BUILD)/gen $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS    := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lnet -lelf -lz -lpthread
comma := ,
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined)
ALL_CFLAGS = -std=gnu11 $(WARN) $(CFLAGS) $(SANFLAGS) $(if $(SAN),-fno-omit-frame-pointer) -MMD -MP

ARCH := $(patsubst i%86,x86,$(patsubst x86_64,x86,$(patsubst ppc64%,ppc64,$(firstword $(subst -, ,$(shell $(CC) -dumpmachine))))))

DIRS     := lib model facts kernel arch arch/$(ARCH) remote images cpt rst ve migrate include
SRC      := $(wildcard $(DIRS:=/*.c))
PROTO    := $(wildcard images/proto/*.proto)
PROTO_C  := $(PROTO:%.proto=$(BUILD)/gen/%.pb-c.c)
BPF      := $(wildcard kernel/bpf/*.bpf.c)
SKEL     := $(BPF:%.bpf.c=$(BUILD)/gen/%.skel.h)
BLOB     := $(BUILD)/remote/blob/blob.bin
OBJ      := $(SRC:%.c=$(BUILD)/%.o) $(PROTO_C:%.c=%.o) $(BUILD)/remote/blob/embed.o
CLI_OBJ  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard cli/*.c))
UNIT_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/unit/*.c))
PROGRAMS := $(patsubst tests/%.c,$(BUILD)/%,$(wildcard tests/live/*.c tests/demo/*.c tests/real/*.c tests/bench/*.c))
GEN_HDR  := $(PROTO:%.proto=$(BUILD)/gen/%.pb-c.h) $(SKEL)

.PHONY: golden bench-image all deps check check-unit check-layers check-live demo bench soak fuzz install clean format tidy programs \
	run-check run-demo run-bench run-soak
.SECONDARY:
all: $(BUILD)/verst programs

$(BUILD)/verst: $(CLI_OBJ) $(BUILD)/libverst.a
	$(CC) $(ALL_CFLAGS) -o $@ $(CLI_OBJ) $(BUILD)/libverst.a $(LIBS) $(LDFLAGS)

$(BUILD)/libverst.a: $(OBJ)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/%.o: %.c | $(GEN_HDR)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# generated: protobuf-c
$(BUILD)/gen/%.pb-c.c $(BUILD)/gen/%.pb-c.h: %.proto
	@mkdir -p $(@D)
	protoc-c --proto_path=. --c_out=$(BUILD)/gen $<
$(BUILD)/gen/%.pb-c.o: $(BUILD)/gen/%.pb-c.c
	$(CC) -I$(BUILD)/gen $(CFLAGS) $(SANFLAGS) -c -o $@ $<

# generated: BPF objects and their skeletons
$(BUILD)/gen/vmlinux.h:
	@mkdir -p $(@D)
	$(BPFTOOL) btf dump file /sys/kernel/btf/vmlinux format c > $@
$(BUILD)/gen/%.bpf.o: %.bpf.c $(BUILD)/gen/vmlinux.h
	@mkdir -p $(@D)
	$(CLANG) -g -O2 -target bpf -D__TARGET_ARCH_$(ARCH) -I. -I$(BUILD)/gen -c -o $@ $<
$(BUILD)/gen/%.skel.h: $(BUILD)/gen/%.bpf.o
	$(BPFTOOL) gen skeleton $< name $(notdir $*)_bpf > $@

# generated: the names of all fault points, for `verst fault-points`
FAULTS := $(BUILD)/gen/fault_names.h
$(FAULTS): $(SRC) $(wildcard cli/*.c)
	@mkdir -p $(@D)
	sed -n 's/.*fault_point(\("[^"]*"\).*/\1,/p' $^ | sort -u > $@
$(BUILD)/cli/faults.o: $(FAULTS)

# what runs inside a stopped task: no libc, position-independent, one flat piece
BLOB_SRC := $(wildcard remote/blob/*.c remote/blob/*.S arch/$(ARCH)/blob/*.S)
$(BUILD)/remote/blob/blob.elf: $(BLOB_SRC) remote/blob/blob.lds $(wildcard remote/blob/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(WARN) -O2 -I. -ffreestanding -fPIE -fno-stack-protector -fcf-protection=none \
		-fno-asynchronous-unwind-tables -mno-sse -mgeneral-regs-only -nostdlib -static-pie -Wl,-T,remote/blob/blob.lds \
		-Wl,--build-id=none -Wl,-z,noexecstack -o $@ $(BLOB_SRC)
$(BLOB): $(BUILD)/remote/blob/blob.elf
	objcopy -O binary $< $@
$(BUILD)/remote/blob/embed.o: remote/blob/embed.s $(BLOB)
	$(CC) -c -Wa,-I$(BUILD)/remote/blob -o $@ $<

# tests
$(BUILD)/unit: $(UNIT_OBJ) $(BUILD)/libverst.a
	$(CC) $(ALL_CFLAGS) -o $@ $^ -lcriterion $(LIBS)
$(PROGRAMS): $(BUILD)/%: tests/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -I. -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-field-initializers -O2 -g -static -pthread -MMD -MP -o $@ $<
programs: $(PROGRAMS)

# pkg-config is asked when this file is read: so deps first, then make again
deps:
	@scripts/deps
check demo bench soak: deps
	@$(MAKE) --no-print-directory all $(if $(filter check,$@),$(BUILD)/unit)
	@$(MAKE) --no-print-directory run-$@
run-check:
	@tests/check.sh $(BUILD)
run-demo:
	@tests/demo/run.sh $(BUILD)
run-bench:
	@tests/bench/bench.sh $(BUILD)
run-soak:
	@tests/soak.sh $(BUILD) $(or $(N),100)
check-layers:
	@scripts/check-layers --self-test && scripts/check-layers
check-unit: $(BUILD)/unit
	$(BUILD)/unit
check-live: all
	tests/live/run.sh -b $(BUILD)

# images: what the fuzzer finds is kept in BUILD/fuzz; T=seconds
FUZZ_SRC := $(wildcard lib/*.c model/*.c images/*.c)
$(BUILD)/fuzz/image_reader: tests/fuzz/image_reader.c $(FUZZ_SRC) $(PROTO_C) $(wildcard images/*.h model/*.h lib/*.h)
	@mkdir -p $(@D)/found
	$(CLANG) -std=gnu11 $(CPPFLAGS) -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize=function \
		-o $@ $(filter %.c,$^) -lprotobuf-c -llz4 -lxxhash -lpthread
fuzz: $(BUILD)/fuzz/image_reader
	$< -max_total_time=$(or $(T),60) -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix=$(BUILD)/fuzz/ \
		$(BUILD)/fuzz/found tests/fuzz/corpus tests/golden
$(BUILD)/image-%: tests/image/%.c $(BUILD)/tests/unit/image_sample.o $(BUILD)/tests/unit/image_random.o $(BUILD)/libverst.a
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -o $@ $^ $(LIBS)
golden: $(BUILD)/image-golden
	$<
bench-image: $(BUILD)/image-bench
	$<

install: all
	install -D -m 755 $(BUILD)/verst $(DESTDIR)$(PREFIX)/bin/verst
	for page in man/*.[1-9]; do \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; done
	install -D -m 644 completion/verst.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/verst
format:
	clang-format -i $$(git ls-files '*.[ch]')
tidy: all
	clang-tidy --quiet $(SRC) -- -std=gnu11 $(CPPFLAGS)

-include $(OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(UNIT_OBJ:.o=.d) $(PROGRAMS:=.d)

clean:
	rm -rf $(BUILD)

# Lockstep's build. `make help` lists the targets: it prints the lines below that begin with two hash signs.
# Five builds live side by side in build/: release, dev, san (sanitizers), cov (coverage) and fuzz.
# SANITIZE=address,undefined with any target uses the build with the sanitizers.

MODE := release
ifdef DEV
MODE := dev
endif
ifdef SANITIZE
MODE := san
endif
ifdef FUZZER
MODE := fuzz
endif
ifdef INSTRUMENT
MODE := cov
endif
OUT := build/$(MODE)
ifeq ($(MODE),san)
ifneq ($(SANITIZE),address,undefined)
comma := ,
OUT := build/san-$(subst $(comma),-,$(SANITIZE))
endif
endif

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(MODE),fuzz)
CC := clang
endif
ifneq ($(shell command -v ccache 2>/dev/null),)
COMPILE := ccache $(CC)
else
COMPILE := $(CC)
endif
# One job per processor, unless the caller passes -j.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

CPPFLAGS := -I. -D_GNU_SOURCE
DEPFLAGS = -MMD -MP -MT $@
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter \
        -Wno-missing-field-initializers
CFLAGS_COMMON := -std=gnu11 -g -fno-omit-frame-pointer -fno-strict-aliasing $(WARN)
LIBS := -lev -lxxhash -llzf -lssl -lcrypto -lhttp_parser -lcares
# Lua and its libraries are linked statically, so that scripts always run in the version that was tested.
LIBS += -l:liblua5.1-cjson.a -l:liblua5.1-bitop.a -l:liblua5.1.a
JEMALLOC := -l:libjemalloc_pic.a
ifeq ($(MODE),release)
# Without the alignment, a change elsewhere moves the hot loops, and costs differ by up to 7 %.
CFLAGS := $(CFLAGS_COMMON) -O3 -flto=auto -falign-functions=64 -falign-loops=32
LDFLAGS := -O3 -flto=auto -rdynamic
LIBS += $(JEMALLOC)
else ifeq ($(MODE),dev)
CFLAGS := $(CFLAGS_COMMON) -O1 -DLOCKSTEP_DEVELOPMENT
LDFLAGS := -rdynamic
LIBS += $(JEMALLOC)
else ifeq ($(MODE),fuzz)
CFLAGS := $(CFLAGS_COMMON) -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -DLOCKSTEP_SANITIZE
LDFLAGS := -fsanitize=fuzzer,address,undefined
else ifeq ($(MODE),cov)
CFLAGS := $(CFLAGS_COMMON) -O0 -Wno-maybe-uninitialized --coverage -fprofile-update=atomic
LDFLAGS := -rdynamic --coverage
LIBS += $(JEMALLOC)
else
CFLAGS := $(CFLAGS_COMMON) -O1 -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -DLOCKSTEP_SANITIZE \
          -DLOCKSTEP_DEVELOPMENT
LDFLAGS := -rdynamic -fsanitize=$(SANITIZE)
endif
LIBS += -lm -lpthread

MAIN := server/main.c
SOURCES := $(filter-out $(MAIN),$(sort $(shell find storage replication server -name '*.c')))
OBJECTS := $(SOURCES:%.c=$(OUT)/%.o)
UNIT_SOURCES := $(shell find tests/unit -name 'test_*.c' 2>/dev/null)
UNIT_BINARIES := $(UNIT_SOURCES:tests/unit/%.c=$(OUT)/unit/%)
ifdef TEST
UNIT_BINARIES := $(filter %/$(TEST),$(UNIT_BINARIES))
endif

ifeq ($(MODE),release)
SERVER := build/lockstep-server
else
SERVER := $(OUT)/lockstep-server
endif

# Names under which the program is something else: a checker of files, a sentinel.
OTHER_NAMES := $(addprefix $(dir $(SERVER)),lockstep-check-rdb lockstep-check-aof lockstep-sentinel)

.PHONY: all dev help run test unit unit-binaries integration differential faults coverage bench fuzz fuzz-binaries lint circles docs install \
        packages clean compile_commands.json
## all: build/lockstep-server (-O3, link-time optimisation) and its links lockstep-sentinel, lockstep-check-rdb, lockstep-check-aof
all: $(SERVER) $(OTHER_NAMES)
## dev: a quick build for development, build/dev/lockstep-server
dev:
	@$(MAKE) --no-print-directory DEV=1 all

$(SERVER): $(OBJECTS) $(OUT)/server/main.o
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(OTHER_NAMES): | $(SERVER)
	@ln -sf $(notdir $(SERVER)) $@

$(OUT)/%.o: %.c Makefile | $(OUT)/.libraries
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(COMPILE) $(CPPFLAGS) $(DEPFLAGS) $(CFLAGS) -c -o $@ $<

# The assembler includes these files, of which the compiler's list of dependencies knows nothing.
$(OUT)/server/web/page_files.o: server/web/page.html server/web/page.css server/web/page.js

$(OUT)/liblockstep.a: $(OBJECTS)
	@rm -f $@ && $(AR) rcs $@ $^

# Checks the libraries once for each build, so that a missing one gets a clear message instead of a compiler error.
$(OUT)/.libraries: tools/packages
	@tools/packages check-build "$(CC)"
	@mkdir -p $(@D) && touch $@

## help: this list
help:
	@sed -nE 's/^## ([a-z_.-]+): (.*)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 28

# ---- Running ----

## packages: installs the Debian packages that the build needs
packages:
	@tools/packages install build

## run: installs missing packages, builds, and starts the server on redis.conf.example
run:
	@tools/packages install build
	@$(MAKE) --no-print-directory all
	@echo "  RUN $(SERVER) redis.conf.example"
	@exec $(SERVER) redis.conf.example

PREFIX ?= /usr/local
## install: copies program, example configuration and documents; PREFIX=/usr/local, DESTDIR=
install: all
	install -D -m 755 $(SERVER) $(DESTDIR)$(PREFIX)/bin/lockstep-server
	ln -sf lockstep-server $(DESTDIR)$(PREFIX)/bin/lockstep-check-rdb
	ln -sf lockstep-server $(DESTDIR)$(PREFIX)/bin/lockstep-check-aof
	ln -sf lockstep-server $(DESTDIR)$(PREFIX)/bin/lockstep-sentinel
	install -D -m 644 redis.conf.example $(DESTDIR)$(PREFIX)/share/lockstep/redis.conf.example
	install -D -m 644 sentinel.conf.example $(DESTDIR)$(PREFIX)/share/lockstep/sentinel.conf.example
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/lockstep README.md CHANGELOG.md SECURITY.md LICENSE
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/lockstep/docs $(wildcard docs/*.md docs/*.png)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/lockstep/docs/monitoring $(wildcard docs/monitoring/*)

# ---- Tests ----

## test: installs what the tests need, builds, and runs the unit and integration tests
test:
	@tools/packages install build test
	@$(MAKE) --no-print-directory all unit-binaries
	@tools/run-tests "$(MAKE)" $(SERVER)

## integration: the integration tests (pytest); TEST='test_config.py -k rewrite' is passed to pytest
integration: all
	@tools/run-integration-tests $(SERVER) $(TEST)

SEED ?= 1
COMMANDS ?= 100000
## differential: random commands to this server and to redis-server, answers and data compared; SEED=1 COMMANDS=100000 DIFFERENTIAL=--replica
differential: all
	@LOCKSTEP_SERVER=$(SERVER) tests/differential/run.py --progress --seed $(SEED) --commands $(COMMANDS) $(DIFFERENTIAL)

RUNS ?= 30
## faults: real servers whose links, disks and processes fail, checked at rest; RUNS=30 of 20 seconds, SEED=1
faults: all
	@$(if $(filter san cov,$(MODE)),LOCKSTEP_TIMEOUT_SCALE=4) LOCKSTEP_SERVER=$(abspath $(SERVER)) tests/faults/run.py --seed $(SEED) --runs $(RUNS)

## unit: the unit tests (cmocka); TEST=test_table runs one binary
# Unit tests are built without link-time optimisation: a release build of them uses the dev objects.
ifeq ($(MODE),release)
unit unit-binaries:
	@$(MAKE) --no-print-directory DEV=1 TEST=$(TEST) $@
else
unit-binaries: $(UNIT_BINARIES)
unit: unit-binaries
	@tools/run-unit-tests $(UNIT_BINARIES)
$(OUT)/unit/%: tests/unit/%.c $(OUT)/liblockstep.a
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(COMPILE) $(CPPFLAGS) $(DEPFLAGS) $(CFLAGS) -c -o $@.o $<
	@$(CC) $(LDFLAGS) -o $@ $@.o $(OUT)/liblockstep.a -lcmocka $(LIBS)
endif

# Lines of code that tests run, from gcov. The counts of an earlier run are deleted first.
## coverage: lines that the unit tests run, in per cent per folder; COVERAGE=all adds the integration tests
coverage:
	@tools/packages install build test
	@$(MAKE) --no-print-directory INSTRUMENT=1 all unit-binaries
	@tools/coverage build/cov "$(MAKE) --no-print-directory INSTRUMENT=1" $(if $(filter all,$(COVERAGE)),all,unit)

# ---- Fuzzing: clang's libFuzzer, with corpora and findings in build/fuzz ----

FUZZ_SECONDS ?= 600
## fuzz: the fuzz targets; FUZZ=rdb runs one, FUZZ_SECONDS=600 is the time of each
FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_$(or $(FUZZ),*).c)
FUZZ_NAMES := $(FUZZ_SOURCES:tests/fuzz/fuzz_%.c=%)
ifeq ($(MODE),fuzz)
fuzz: $(FUZZ_NAMES:%=fuzz-run-%)
fuzz-binaries: $(FUZZ_NAMES:%=$(OUT)/fuzz_%)
fuzz-run-%: $(OUT)/fuzz_%
	@tools/run-fuzzer $< $(FUZZ_SECONDS)
$(OUT)/fuzz_%: tests/fuzz/fuzz_%.c $(OUT)/liblockstep.a
	@echo "  LD  $@"
	@$(COMPILE) $(CPPFLAGS) $(DEPFLAGS) $(CFLAGS) -c -o $@.o $<
	@$(CC) $(LDFLAGS) -o $@ $@.o $(OUT)/liblockstep.a $(LIBS)
else
fuzz fuzz-binaries:
	@tools/packages install build fuzz
	@$(MAKE) --no-print-directory FUZZER=1 $@
endif

# ---- The simulator: the server's sources, with modules of its own behind five headers. Always built in build/sim ----

SIM_OUT := build/$(if $(SANITIZE),san-)sim
SIM_REPLACED := storage/base/allocator_options.c storage/base/assert.c storage/base/memory.c storage/base/ticks.c \
        storage/base/worker.c server/net/loop.c server/net/resolver.c server/net/socket.c
SIM_SOURCES := $(filter-out $(SIM_REPLACED),$(SOURCES)) storage/base/ticks.c $(wildcard tests/simulation/*.c)
SIM_OBJECTS := $(SIM_SOURCES:%.c=$(SIM_OUT)/%.o)
SIM_CFLAGS := $(CFLAGS_COMMON) -Wno-array-bounds -Wno-maybe-uninitialized $(if $(SANITIZE),-O2,-O3) -DLOCKSTEP_DEVELOPMENT
# The simulator looks at these functions when they are called (truth.c, observe.c).
SIM_WRAPPED := repl_new repl_stream_append repl_stream_cut repl_stream_reader_start repl_adopt_history \
        repl_restore_position repl_promote repl_follow identity_shares full_sync_add \
        repl_replica_check_psync identity_renew identity_fork identity_fork_to repl_aof_synced aof_load_at_start aof_shut_down \
        aof_cut_file lineage_flushed lineage_read lineage_begin lineage_data_replaced repl_flush
# Lua hashes addresses of static objects: with random ones, the same seed does not always do the same.
SIM_LDFLAGS := -rdynamic -no-pie $(SIM_WRAPPED:%=-Wl,--wrap=%)
ifdef SANITIZE
# The checks that are put in hide from the compiler how large a number can be.
SIM_CFLAGS += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -DLOCKSTEP_SANITIZE -Wno-format-truncation
SIM_LDFLAGS += -fsanitize=$(SANITIZE)
endif
SEEDS ?= 1000
FROM ?= 1
.PHONY: simulator simulate simulate-mutants
## simulator: builds build/sim/simulate (tests/simulation/README.md)
simulator: $(SIM_OUT)/simulate
## simulate: runs of the whole under simulated faults; SEEDS=1000 FROM=1
simulate: simulator
	@$(SIM_OUT)/simulate --seeds $(SEEDS) --from $(FROM) --jobs $(shell nproc)
## simulate-mutants: builds the simulator with each planted fault, which it has to find; MUTANT=name tries one, JOBS=1
simulate-mutants: simulator
	@tools/mutants $(SIM_OUT)/simulate "$(COMPILE) -Itests/simulation/instead $(CPPFLAGS) $(SIM_CFLAGS)" "$(CC) $(SIM_LDFLAGS)" "$(SIM_OBJECTS)" \
	    "$(LIBS)" $(MUTANT)
$(SIM_OUT)/simulate: $(SIM_OBJECTS)
	@echo "  LD  $@"
	@$(CC) $(SIM_LDFLAGS) -o $@ $^ $(LIBS)
# The statistics of a real allocator would differ from run to run.
$(SIM_OUT)/storage/base/allocator.o: SIM_CFLAGS += -DLOCKSTEP_SANITIZE
# The commands of the traffic, from the grammar of tests/differential.
$(SIM_OUT)/made/commands.inc: tests/simulation/make_commands.py tests/differential/commands.py \
        tests/differential/grammar.py tests/differential/vocabulary.py
	@mkdir -p $(@D)
	@/usr/bin/python3 tests/simulation/make_commands.py $@
$(SIM_OUT)/tests/simulation/traffic.o: $(SIM_OUT)/made/commands.inc
$(SIM_OUT)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC  $< (simulator)"
	@$(COMPILE) -Itests/simulation/instead -I$(SIM_OUT)/made $(CPPFLAGS) $(DEPFLAGS) $(SIM_CFLAGS) -c -o $@ $<

# ---- Speed ----

## bench: speed and memory side by side with Debian's redis-server; BENCH="--quick --only get" is passed on
bench:
	@tools/packages install build bench
	@$(MAKE) --no-print-directory all
	@tools/bench $(BENCH)

# Micro-benchmarks link storage/ alone and are built one by one: make build/release/bench/bench_table.
STORAGE_OBJECTS := $(filter $(OUT)/storage/%,$(OBJECTS))
$(OUT)/bench/%: tests/bench/%.c $(STORAGE_OBJECTS)
	@mkdir -p $(@D)
	@$(COMPILE) $(CPPFLAGS) $(DEPFLAGS) $(CFLAGS) -c -o $@.o $<
	@$(CC) $(LDFLAGS) -o $@ $@.o $(STORAGE_OBJECTS) $(LIBS)

# ---- Reading ----

LINT_SOURCES := $(sort $(shell find storage replication server tests -name '*.[ch]'))
## lint: formatting, static analysis, layers, rooms, documents
lint:
	@tools/packages install build test lint
	@$(MAKE) --no-print-directory DEV=1 all
	@tools/lint "$(CPPFLAGS) -std=gnu11" build/dev $(LINT_SOURCES)

## docs: writes docs/MODULES.md from the first line of each header, and the dashboard in docs/monitoring
docs:
	@tools/modules
	@tools/dashboard

## circles: uses between rooms that point upwards, and modules that need each other
circles:
	@$(MAKE) --no-print-directory DEV=1 all
	@tools/circles build/dev

# For clangd and other tools: how the dev build compiles each file.
## compile_commands.json: the compilation database of the dev build
ifeq ($(MODE),dev)
compile_commands.json:
	@{ separator='['; for file in $(MAIN) $(SOURCES) $(UNIT_SOURCES); do \
	    printf '%s\n{"directory": "%s", "file": "%s", "command": "%s -c %s"}' \
	        "$$separator" '$(CURDIR)' "$$file" '$(CC) $(CPPFLAGS) $(CFLAGS)' "$$file"; separator=,; done; \
	  printf '\n]\n'; } >$@
else
compile_commands.json:
	@$(MAKE) --no-print-directory DEV=1 $@
endif

## clean: removes build/
clean:
	rm -rf build

-include $(SIM_OBJECTS:.o=.d) $(OBJECTS:.o=.d) $(OUT)/server/main.d $(UNIT_BINARIES:=.d) $(FUZZ_NAMES:%=$(OUT)/fuzz_%.d)

# Lockstep's build.
#   make            build/lockstep-server: -O3, link-time optimisation, and lockstep-check-rdb, the same program
#                   under the name that makes it check RDB files. Installs nothing.
#   make run        installs the libraries that are missing, builds, and starts the server on redis.conf.example
#   make test       installs what the tests need, builds, and runs all of them
#   make unit       the unit tests (cmocka);            TEST=test_table runs one binary
#   make integration  the integration tests (pytest);   TEST='test_config.py -k rewrite' is handed to pytest
#   make differential  random commands to it and to redis-server, all answers and data compared, for as long as wanted;
#                   SEED=1 COMMANDS=100000, and DIFFERENTIAL=--replica for a replica of the other kind behind each
#   make bench      side by side with Debian's redis-server;   BENCH="--quick --only get" is handed on
#   make fuzz       the fuzz targets;                   FUZZ=rdb picks one, FUZZ_SECONDS=600 is the time of each
#   make lint       formatting, static analysis, the layers
#   make install    PREFIX=/usr/local, DESTDIR=
#   make packages   installs what the build needs, and no more
#   make dev        a quick build to work with: build/dev/lockstep-server
# SANITIZE=address,undefined with any of them builds with the sanitizers, in build/san.

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
# As many jobs as there are processors, unless the caller says otherwise with -j.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

CPPFLAGS := -I. -D_GNU_SOURCE
DEPFLAGS = -MMD -MP -MT $@
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter \
        -Wno-missing-field-initializers
CFLAGS_COMMON := -std=gnu11 -g -fno-omit-frame-pointer -fno-strict-aliasing $(WARN)
LIBS := -lev -lxxhash -llzf
# Lua and its libraries go into the program: what scripts run in is then always what it was tested with.
LIBS += -l:liblua5.1-cjson.a -l:liblua5.1-bitop.a -l:liblua5.1.a
JEMALLOC := -l:libjemalloc_pic.a
ifeq ($(MODE),release)
CFLAGS := $(CFLAGS_COMMON) -O3 -flto=auto
LDFLAGS := -O3 -flto=auto -rdynamic
LIBS += $(JEMALLOC)
else ifeq ($(MODE),dev)
CFLAGS := $(CFLAGS_COMMON) -O1
LDFLAGS := -rdynamic
LIBS += $(JEMALLOC)
else ifeq ($(MODE),fuzz)
CFLAGS := $(CFLAGS_COMMON) -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -DLOCKSTEP_SANITIZE
LDFLAGS := -fsanitize=fuzzer,address,undefined
else
CFLAGS := $(CFLAGS_COMMON) -O1 -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -DLOCKSTEP_SANITIZE
LDFLAGS := -rdynamic -fsanitize=$(SANITIZE)
endif
LIBS += -lm -lpthread

MAIN := server/main.c
SOURCES := $(filter-out $(MAIN),$(wildcard storage/base/*.c storage/*.c replication/*.c server/net/*.c server/*.c \
           server/acl/*.c server/commands/*.c server/scripting/*.c))
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

CHECKERS := $(addprefix $(dir $(SERVER)),lockstep-check-rdb lockstep-check-aof)

.PHONY: all dev run test unit unit-binaries integration differential bench fuzz fuzz-binaries lint install packages clean
all: $(SERVER) $(CHECKERS)
dev:
	@$(MAKE) --no-print-directory DEV=1 all

$(SERVER): $(OBJECTS) $(OUT)/server/main.o
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# One program: the name it is called by tells it what to be.
$(CHECKERS): | $(SERVER)
	@ln -sf $(notdir $(SERVER)) $@

$(OUT)/%.o: %.c | $(OUT)/.libraries
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(COMPILE) $(CPPFLAGS) $(DEPFLAGS) $(CFLAGS) -c -o $@ $<

$(OUT)/liblockstep.a: $(OBJECTS)
	@rm -f $@ && $(AR) rcs $@ $^

# Says what is missing, and how to get it, before the compiler does so in its own words.
$(OUT)/.libraries: tools/packages
	@tools/packages check-build "$(CC)"
	@mkdir -p $(@D) && touch $@

# ---- Running ----

packages:
	@tools/packages install build

run:
	@tools/packages install build
	@$(MAKE) --no-print-directory all
	@echo "  RUN $(SERVER) redis.conf.example"
	@exec $(SERVER) redis.conf.example

PREFIX ?= /usr/local
install: all
	install -D -m 755 $(SERVER) $(DESTDIR)$(PREFIX)/bin/lockstep-server
	ln -sf lockstep-server $(DESTDIR)$(PREFIX)/bin/lockstep-check-rdb
	ln -sf lockstep-server $(DESTDIR)$(PREFIX)/bin/lockstep-check-aof
	install -D -m 644 redis.conf.example $(DESTDIR)$(PREFIX)/share/lockstep/redis.conf.example
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/lockstep README.md LICENSE docs/ARCHITECTURE.md

# ---- Tests ----

test:
	@tools/packages install build test
	@$(MAKE) --no-print-directory all unit-binaries
	@tools/run-tests "$(MAKE)" $(SERVER)

integration: all
	@tools/run-integration-tests $(SERVER) $(TEST)

SEED ?= 1
COMMANDS ?= 100000
differential: all
	@LOCKSTEP_SERVER=$(SERVER) tests/differential/run.py --progress --seed $(SEED) --commands $(COMMANDS) $(DIFFERENTIAL)

# Unit tests are built without link-time optimisation: `make unit` always uses the dev or sanitizer objects.
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

# ---- Fuzzing: clang's libFuzzer, with corpora and findings in build/fuzz ----

FUZZ_SECONDS ?= 600
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

# ---- Speed ----

bench:
	@tools/packages install build bench
	@$(MAKE) --no-print-directory all
	@tools/bench $(BENCH)

# Micro-benchmarks, one by one: make build/release/bench/bench_table. They link storage/ alone.
STORAGE_OBJECTS := $(filter $(OUT)/storage/%,$(OBJECTS))
$(OUT)/bench/%: tests/bench/%.c $(STORAGE_OBJECTS)
	@mkdir -p $(@D)
	@$(COMPILE) $(CPPFLAGS) $(DEPFLAGS) $(CFLAGS) -c -o $@.o $<
	@$(CC) $(LDFLAGS) -o $@ $@.o $(STORAGE_OBJECTS) $(LIBS)

# ---- Reading ----

LINT_SOURCES := $(sort $(shell find storage replication server tests -name '*.[ch]'))
lint:
	@tools/packages install build test lint
	@$(MAKE) --no-print-directory DEV=1 all
	@tools/lint "$(CPPFLAGS) -std=gnu11" build/dev $(LINT_SOURCES)

clean:
	rm -rf build

-include $(OBJECTS:.o=.d) $(OUT)/server/main.d $(UNIT_BINARIES:=.d) $(FUZZ_NAMES:%=$(OUT)/fuzz_%.d)

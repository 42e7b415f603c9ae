# Lockstep's build.
#   make                       release build: build/lockstep-server
#   make dev                   quick build without optimisation passes across files: build/dev/lockstep-server
#   make unit                  unit tests (cmocka);  TEST=test_table runs one of them
#   SANITIZE=address,undefined any target, built with the sanitizers: build/san/...
MODE := release
ifdef DEV
MODE := dev
endif
ifdef SANITIZE
MODE := san
endif
OUT := build/$(MODE)
CC ?= gcc
ifneq ($(shell command -v ccache 2>/dev/null),)
COMPILE := ccache $(CC)
else
COMPILE := $(CC)
endif

CPPFLAGS := -I. -D_GNU_SOURCE -MMD -MP
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter \
        -Wno-missing-field-initializers
CFLAGS_COMMON := -std=gnu11 -g -fno-omit-frame-pointer -fno-strict-aliasing $(WARN)
LIBS := -lev -lxxhash -llzf
JEMALLOC := -l:libjemalloc_pic.a
ifeq ($(MODE),release)
CFLAGS := $(CFLAGS_COMMON) -O3 -flto=auto
LDFLAGS := -O3 -flto=auto -rdynamic
LIBS += $(JEMALLOC)
else ifeq ($(MODE),dev)
CFLAGS := $(CFLAGS_COMMON) -O1
LDFLAGS := -rdynamic
LIBS += $(JEMALLOC)
else
CFLAGS := $(CFLAGS_COMMON) -O1 -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -DLOCKSTEP_SANITIZE
LDFLAGS := -rdynamic -fsanitize=$(SANITIZE)
endif

LIBS += -lm -lpthread

MAIN := server/main.c
SOURCES := $(filter-out $(MAIN),$(wildcard storage/base/*.c storage/*.c replication/*.c server/net/*.c server/*.c \
           server/commands/*.c))
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

.PHONY: all dev unit unit-binaries bench clean
all: $(SERVER)
dev:
	@$(MAKE) --no-print-directory DEV=1 all

$(SERVER): $(OBJECTS) $(OUT)/server/main.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(COMPILE) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(OUT)/liblockstep.a: $(OBJECTS)
	@rm -f $@ && $(AR) rcs $@ $^

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
	@$(COMPILE) $(CPPFLAGS) -MT $@ $(CFLAGS) -c -o $@.o $<
	@$(CC) $(LDFLAGS) -o $@ $@.o $(OUT)/liblockstep.a -lcmocka $(LIBS)
endif

# Micro-benchmarks, one by one: make build/release/bench/bench_table. They link storage/ alone.
STORAGE_OBJECTS := $(filter $(OUT)/storage/%,$(OBJECTS))
$(OUT)/bench/%: tests/bench/%.c $(STORAGE_OBJECTS)
	@mkdir -p $(@D)
	@$(COMPILE) $(CPPFLAGS) -MT $@ $(CFLAGS) -c -o $@.o $<
	@$(CC) $(LDFLAGS) -o $@ $@.o $(STORAGE_OBJECTS) $(LIBS)

# Lockstep and Debian's redis-server side by side; BENCH="--quick --only get" passes options on.
bench: all
	@tools/bench $(BENCH)

clean:
	rm -rf build

-include $(OBJECTS:.o=.d) $(OUT)/server/main.d $(UNIT_BINARIES:=.d)

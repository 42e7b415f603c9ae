#include "server/catalog/command_table.h"

#include <ctype.h>
#include <string.h>

#include "storage/base/memory.h"

enum { INDEX_SIZE = 1024 /* slots of the index: a power of two, several times the number of commands */ };

struct command_table {
    struct command_slot *slots;
    size_t count;
    size_t id_count;
    size_t name_max;                        /* length of the longest name; rename-command has no limit */
    struct command_slot *index[INDEX_SIZE]; /* open addressing by name_hash() */
};

static size_t name_hash(struct bytes_view name)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a over the lower-case name */
    for (size_t i = 0; i < name.len; i++) h = (h ^ (uint8_t)(name.data[i] | 0x20)) * 1099511628211u;
    return (h ^ (h >> 32)) & (INDEX_SIZE - 1);
}

static void index_add(struct command_table *t, struct command_slot *slot)
{
    size_t at = name_hash(bytes_str(slot->name)), len = strlen(slot->name);
    if (len > t->name_max) t->name_max = len;
    while (t->index[at] != NULL) at = (at + 1) & (INDEX_SIZE - 1);
    t->index[at] = slot;
}

struct command_slot *command_table_find(struct command_table *t, struct bytes_view name)
{
    if (name.len > t->name_max) return NULL;
    for (size_t at = name_hash(name); t->index[at] != NULL; at = (at + 1) & (INDEX_SIZE - 1))
        if (bytes_equal_nocase(name, t->index[at]->name)) return t->index[at];
    return NULL;
}

struct command_slot *command_slot_sub(struct command_slot *container, struct bytes_view name)
{
    for (size_t i = 0; i < container->subcommand_count; i++)
        if (bytes_equal_nocase(name, container->subcommands[i].command->name)) return &container->subcommands[i];
    return NULL;
}

struct command_slot *command_table_find_full(struct command_table *t, struct bytes_view full_name)
{
    const char *bar = full_name.len == 0 ? NULL : memchr(full_name.data, '|', full_name.len);
    if (bar == NULL) return command_table_find(t, full_name);
    size_t len = (size_t)(bar - full_name.data);
    struct command_slot *container = command_table_find(t, bytes_view(full_name.data, len));
    return container == NULL ? NULL : command_slot_sub(container, bytes_view(bar + 1, full_name.len - len - 1));
}

struct command_slot *command_table_find_documented(struct command_table *t, struct bytes_view full_name)
{
    const char *bar = full_name.len == 0 ? NULL : memchr(full_name.data, '|', full_name.len);
    struct bytes_view name = bytes_view(full_name.data, bar == NULL ? full_name.len : (size_t)(bar - full_name.data));
    for (size_t i = 0; i < t->count; i++) {
        struct command_slot *slot = &t->slots[i];
        if (!bytes_equal_nocase(name, slot->full_name)) continue;
        if (bar == NULL) return slot;
        return command_slot_sub(slot, bytes_view(bar + 1, full_name.len - name.len - 1));
    }
    return NULL;
}

static const struct command_slot *find_row(const struct command_slot *slots, size_t count, const struct command *cmd)
{
    for (size_t i = 0; i < count; i++) {
        if (slots[i].command == cmd) return &slots[i];
        const struct command_slot *sub = find_row(slots[i].subcommands, slots[i].subcommand_count, cmd);
        if (sub != NULL) return sub;
    }
    return NULL;
}

const struct command_slot *command_table_slot_of(struct command_table *t, const struct command *cmd)
{
    return find_row(t->slots, t->count, cmd);
}

size_t command_table_id_count(const struct command_table *t)
{
    return t->id_count;
}

struct command_slot *command_table_slots(struct command_table *t, size_t *count)
{
    *count = t->count;
    return t->slots;
}

uint64_t command_table_ticks(const struct command_table *t)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < t->count; i++) {
        sum += t->slots[i].stats.ticks;
        for (size_t j = 0; j < t->slots[i].subcommand_count; j++) sum += t->slots[i].subcommands[j].stats.ticks;
    }
    return sum;
}

static char *join_name(const char *container, const char *name)
{
    size_t len = strlen(container), size = strlen(name) + 1;
    char *joined = mem_alloc(len + 1 + size);
    memcpy(joined, container, len);
    joined[len] = '|';
    memcpy(joined + len + 1, name, size);
    return joined;
}

static bool has_flags(const struct command *c, unsigned flags)
{
    return (c->flags & flags) == flags;
}

static size_t count_rows(const struct command *rows, unsigned flags)
{
    size_t count = 0;
    for (const struct command *c = rows; c->name != NULL; c++) count += has_flags(c, flags);
    return count;
}

static void add_subcommands(struct command_table *t, struct command_slot *slot, unsigned flags)
{
    slot->subcommands = mem_calloc(count_rows(slot->command->subcommands, flags) * sizeof(struct command_slot));
    for (const struct command *c = slot->command->subcommands; c->name != NULL; c++) {
        if (!has_flags(c, flags)) continue;
        struct command_slot *sub = &slot->subcommands[slot->subcommand_count++];
        sub->command = c;
        sub->id = (unsigned)t->id_count++;
        sub->full_name = join_name(slot->full_name, sub->command->name);
        sub->name = mem_strdup(sub->full_name);
        sub->container = slot;
    }
}

/* The current name of a built-in command: its new name, "" if it is removed, or its own. */
static const char *renamed(const struct renamed_command *renames, size_t count, const char *name)
{
    const char *now = name;
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_nocase(bytes_str(renames[i].from), name)) now = renames[i].to;
    return now;
}

/* The built-in command that these lines have given the name `name`; NULL if there is none. */
static const struct command *built_in(const struct command *const *tables, const struct renamed_command *renames,
                                      size_t count, const char *name)
{
    for (size_t i = 0; tables[i] != NULL; i++)
        for (const struct command *c = tables[i]; c->name != NULL; c++)
            if (bytes_equal_nocase(bytes_str(renamed(renames, count, c->name)), name)) return c;
    return NULL;
}

const char *command_table_rename(void *ctx, const struct renamed_command *before, size_t count, const char *from,
                                 const char *to, const char **refusal)
{
    const struct command *const *tables = ctx;
    const struct command *command = from[0] == '\0' ? NULL : built_in(tables, before, count, from);
    const struct command *taken = to[0] == '\0' ? NULL : built_in(tables, before, count, to);
    if (command == NULL || command->acl == ACL_HTTP) /* a name of permissions */
        *refusal = "No such command in rename-command";
    else if (taken != NULL && taken != command)
        *refusal = "Target command name already exists";
    else
        return command->name;
    return NULL;
}

static void slot_init(struct command_table *t, struct command_slot *slot, const struct command *c, const char *name,
                      unsigned flags)
{
    slot->command = c;
    slot->id = (unsigned)t->id_count++;
    slot->full_name = mem_strdup(c->name);
    slot->name = mem_strdup(name);
    if (c->subcommands != NULL) add_subcommands(t, slot, flags);
    if (slot->name[0] != '\0') index_add(t, slot);
}

struct command_table *command_table_new_of(const struct command *const *tables, unsigned flags,
                                           const struct renamed_command *renames, size_t rename_count)
{
    struct command_table *t = mem_calloc(sizeof(*t));
    for (size_t i = 0; tables[i] != NULL; i++) t->count += count_rows(tables[i], flags);
    t->slots = mem_calloc(t->count * sizeof(struct command_slot));
    size_t at = 0;
    for (size_t i = 0; tables[i] != NULL; i++)
        for (const struct command *c = tables[i]; c->name != NULL; c++)
            if (has_flags(c, flags)) slot_init(t, &t->slots[at++], c, renamed(renames, rename_count, c->name), flags);
    return t;
}

struct command_table *command_table_new(const struct command *const *tables, const struct renamed_command *renames,
                                        size_t rename_count)
{
    return command_table_new_of(tables, 0, renames, rename_count);
}

static void slot_release(struct command_slot *slot)
{
    for (size_t i = 0; i < slot->subcommand_count; i++) slot_release(&slot->subcommands[i]);
    mem_free(slot->subcommands);
    mem_free(slot->latency);
    mem_free((char *)slot->name);
    mem_free((char *)slot->full_name);
}

void command_table_free(struct command_table *t)
{
    if (t == NULL) return;
    for (size_t i = 0; i < t->count; i++) slot_release(&t->slots[i]);
    mem_free(t->slots);
    mem_free(t);
}

#include "tests/simulation/sim_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/base/assert.h"

enum { PAGE = SIM_DISK_PAGE, SECTOR = SIM_DISK_SECTOR };

/* Flags of a page. DIFFERS without DIRTY: an fsync has failed and the page was not written. */
enum { DIFFERS = 1, DIRTY = 2 };

struct inode {
    bool directory;
    unsigned refs; /* entries, durable entries, pending changes, open files */
    unsigned live; /* entries and open files: while > 0, it takes room */
    size_t size, durable_size;
    size_t lowest;       /* the least size since the last fsync */
    size_t room;         /* of `now`; the bytes above its size are zeros */
    size_t durable_room; /* of `durable`, which grows at an fsync or a power cut */
    unsigned char *now, *durable;
    unsigned char *flags; /* of each page of the room */
    bool changed;         /* some page or the size differs from what is durable */
};

struct sim_file {
    struct sim_file *next, **link;
    struct inode *inode;
    size_t pos;
    int flags;
};

struct entry {
    char *path;
    struct inode *inode;
};
struct entries {
    struct entry *at;
    size_t count, room;
};

enum change_kind { ADD, REMOVE, RENAME };
struct change {
    enum change_kind kind;
    char *path, *to; /* to: of RENAME */
    struct inode *inode;
    bool chosen;
};

struct sim_disk {
    struct rng *rng;
    enum sim_disk_order order;
    struct entries now, durable;
    struct change *pending;
    size_t pending_count, pending_room;
    struct sim_file *files;
    unsigned open_files;
    int64_t capacity, used, reserved; /* used: whole pages; capacity < 0: no limit */
    unsigned faults[SIM_DISK_FAULTS];
    bool no_links;
    bool tears; /* at the next power cut */
    struct sim_disk_stats stats;
};

static void *check_alloc(void *p)
{
    if (p == NULL) abort();
    return p;
}

static bool coin(struct sim_disk *d)
{
    return rng_next(d->rng) & 1;
}

/* ---- Inodes ---- */

static int64_t whole_pages(size_t size)
{
    return (int64_t)((size + PAGE - 1) / PAGE * PAGE);
}

static struct inode *inode_new(bool directory)
{
    struct inode *n = check_alloc(calloc(1, sizeof(*n)));
    n->directory = directory;
    return n;
}

static void inode_ref(struct inode *n)
{
    n->refs++;
}

static void inode_unref(struct inode *n)
{
    if (--n->refs > 0) return;
    free(n->now);
    free(n->durable);
    free(n->flags);
    free(n);
}

static void inode_live(struct sim_disk *d, struct inode *n)
{
    if (n->live++ == 0) d->used += whole_pages(n->size);
    inode_ref(n);
}

static void inode_unlive(struct sim_disk *d, struct inode *n)
{
    if (--n->live == 0) d->used -= whole_pages(n->size);
    inode_unref(n);
}

static unsigned char *grow_zeroed(unsigned char *p, size_t from, size_t to)
{
    p = check_alloc(realloc(p, to));
    memset(p + from, 0, to - from);
    return p;
}

static void inode_reserve(struct inode *n, size_t size)
{
    if (size <= n->room) return;
    size_t room = n->room == 0 ? PAGE : n->room;
    while (room < size) room *= 2;
    n->now = grow_zeroed(n->now, n->room, room);
    n->flags = grow_zeroed(n->flags, n->room / PAGE, room / PAGE);
    n->room = room;
}

static void inode_reserve_durable(struct inode *n)
{
    if (n->durable_room == n->room) return;
    n->durable = grow_zeroed(n->durable, n->durable_room, n->room);
    n->durable_room = n->room;
}

static void inode_mark(struct inode *n, size_t from, size_t to)
{
    for (size_t page = from / PAGE; page * PAGE < to; page++) n->flags[page] = DIFFERS | DIRTY;
    n->changed = true;
}

static void inode_resize(struct sim_disk *d, struct inode *n, size_t size)
{
    size_t old = n->size;
    inode_reserve(n, size);
    if (n->live > 0) d->used += whole_pages(size) - whole_pages(old);
    n->size = size;
    if (size < n->lowest) n->lowest = size;
    if (size < old) memset(n->now + size, 0, old - size);
    inode_mark(n, size < old ? size : old, size < old ? old : size);
}

static void inode_write(struct sim_disk *d, struct inode *n, size_t at, const void *data, size_t len)
{
    if (len == 0) return;
    if (at + len > n->size) inode_resize(d, n, at + len);
    memcpy(n->now + at, data, len);
    inode_mark(n, at, at + len);
}

static void inode_copy_page(struct inode *n, size_t page)
{
    memcpy(n->durable + page * PAGE, n->now + page * PAGE, PAGE);
    n->flags[page] = 0;
}

static void inode_size_is_durable(struct inode *n)
{
    if (n->durable_size > n->size) memset(n->durable + n->size, 0, n->durable_size - n->size);
    n->durable_size = n->lowest = n->size;
}

static bool inode_differs(const struct inode *n)
{
    if (n->size != n->durable_size || n->lowest != n->size) return true;
    for (size_t page = 0; page * PAGE < n->size; page++) {
        if (n->flags[page] & DIFFERS) return true;
    }
    return false;
}

static void inode_sync(struct inode *n)
{
    if (!n->changed) return;
    inode_reserve_durable(n);
    for (size_t page = 0; page < n->room / PAGE; page++) {
        if (n->flags[page] & DIRTY) inode_copy_page(n, page);
    }
    inode_size_is_durable(n);
    n->changed = inode_differs(n);
}

/* Each page reaches the disk or does not, and counts as clean. */
static void inode_sync_failing(struct sim_disk *d, struct inode *n)
{
    inode_reserve_durable(n);
    for (size_t page = 0; page < n->room / PAGE; page++) {
        if (!(n->flags[page] & DIRTY)) continue;
        n->flags[page] &= (unsigned char)~DIRTY;
        if (coin(d)) inode_copy_page(n, page);
    }
    if (coin(d)) inode_size_is_durable(n);
    n->changed = inode_differs(n);
}

/* ---- A power cut: the content of a file ---- */

/* Sectors of what was overwritten: [from, to) of a page. */
static void tear(struct sim_disk *d, struct inode *n, size_t from, size_t to)
{
    unsigned kept = 0, lost = 0;
    for (size_t at = from, len; at < to; at += len) {
        len = SECTOR - at % SECTOR;
        if (len > to - at) len = to - at;
        if (coin(d)) {
            memcpy(n->durable + at, n->now + at, len);
            kept++;
        } else {
            lost++;
        }
    }
    d->stats.torn_pages += kept > 0 && lost > 0;
}

static void cut_page(struct sim_disk *d, struct inode *n, size_t from, size_t to)
{
    unsigned outcome = (unsigned)rng_below(d->rng, 4);
    switch (d->tears ? 1 : outcome) {
    case 0: d->stats.lost_pages++; break;
    case 1: tear(d, n, from, to); break;
    default: memcpy(n->durable + from, n->now + from, to - from); break;
    }
}

static void cut_overwritten(struct sim_disk *d, struct inode *n, size_t end)
{
    for (size_t at = 0; at < end; at += PAGE) {
        if (n->flags[at / PAGE] & DIFFERS) cut_page(d, n, at, end - at < PAGE ? end : at + PAGE);
    }
}

/* The part beyond `from`, of which the disk had nothing. */
static void cut_grown(struct sim_disk *d, struct inode *n, size_t from)
{
    size_t end = from;
    if (n->size > from) {
        switch (rng_below(d->rng, 3)) {
        case 0: break;
        case 1: end = n->size; break;
        default: end = from + rng_below(d->rng, n->size - from + 1); break;
        }
    }
    d->stats.cut_tails += end < n->size;
    n->durable_size = end;
    for (size_t at = from; at < end;) {
        size_t to = (at / PAGE + 1) * PAGE;
        if (to > end) to = end;
        bool failed = (n->flags[at / PAGE] & (DIFFERS | DIRTY)) == DIFFERS;
        if (d->order == SIM_DISK_HARSH || failed) {
            uint64_t lost_before = d->stats.lost_pages;
            cut_page(d, n, at, to);
            d->stats.zero_pages += d->stats.lost_pages - lost_before;
        } else {
            memcpy(n->durable + at, n->now + at, to - at);
        }
        at = to;
    }
    if (n->room > end) memset(n->durable + end, 0, n->room - end); /* an fsync that failed may have written beyond */
}

/* The sector in which the part that was overwritten ends and the one that has grown begins is one moment's, that of the
 * latter. `before`: what the disk had of it. */
static void join_sector(struct inode *n, size_t at, size_t old, const unsigned char *before)
{
    size_t end = n->durable_size < at + SECTOR ? n->durable_size : at + SECTOR;
    if (end <= old) return;
    bool kept = memcmp(n->durable + old, n->now + old, end - old) == 0;
    memcpy(n->durable + at, kept ? n->now + at : before, old - at);
}

static void cut_content(struct sim_disk *d, struct inode *n)
{
    unsigned char before[SECTOR];
    if (!n->changed) return;
    inode_reserve_durable(n);
    size_t old = n->durable_size < n->size ? n->durable_size : n->size;
    if (n->lowest < old) old = n->lowest;
    size_t last_sector = old / SECTOR * SECTOR;
    if (old > last_sector) memcpy(before, n->durable + last_sector, old - last_sector);
    cut_overwritten(d, n, old);
    bool shrunk = n->lowest < n->durable_size;
    if (!shrunk || coin(d)) {
        if (n->durable_size > old) memset(n->durable + old, 0, n->durable_size - old);
        cut_grown(d, n, old);
        join_sector(n, last_sector, old, before);
    } else {
        d->stats.cut_tails++;
    }
    inode_reserve(n, n->durable_size);
    n->size = n->lowest = n->durable_size;
    n->changed = false;
    if (n->room == 0) return;
    memcpy(n->now, n->durable, n->room);
    memset(n->flags, 0, n->room / PAGE);
}

/* ---- Entries of directories ---- */

static struct entry *entries_find(const struct entries *e, const char *path)
{
    for (size_t i = 0; i < e->count; i++) {
        if (strcmp(e->at[i].path, path) == 0) return &e->at[i];
    }
    return NULL;
}

static void entries_add(struct entries *e, const char *path, struct inode *n)
{
    if (e->count == e->room) {
        e->room = e->room == 0 ? 16 : e->room * 2;
        e->at = check_alloc(realloc(e->at, e->room * sizeof(*e->at)));
    }
    e->at[e->count++] = (struct entry){.path = check_alloc(strdup(path)), .inode = n};
}

static void entries_remove(struct entries *e, struct entry *entry)
{
    free(entry->path);
    *entry = e->at[--e->count];
}

static void now_add(struct sim_disk *d, const char *path, struct inode *n)
{
    entries_add(&d->now, path, n);
    inode_live(d, n);
}

static void now_remove(struct sim_disk *d, struct entry *entry)
{
    struct inode *n = entry->inode;
    entries_remove(&d->now, entry);
    inode_unlive(d, n);
}

static void durable_put(struct sim_disk *d, const char *path, struct inode *n)
{
    struct entry *old = entries_find(&d->durable, path);
    inode_ref(n);
    if (old != NULL) {
        inode_unref(old->inode);
        old->inode = n;
    } else {
        entries_add(&d->durable, path, n);
    }
}

static void durable_remove(struct sim_disk *d, const char *path)
{
    struct entry *old = entries_find(&d->durable, path);
    if (old == NULL) return;
    inode_unref(old->inode);
    entries_remove(&d->durable, old);
}

static void apply_to_durable(struct sim_disk *d, const struct change *c)
{
    switch (c->kind) {
    case ADD: durable_put(d, c->path, c->inode); break;
    case REMOVE: durable_remove(d, c->path); break;
    case RENAME:
        durable_put(d, c->to, c->inode);
        durable_remove(d, c->path);
        break;
    }
}

static void change_release(struct change *c)
{
    free(c->path);
    free(c->to);
    inode_unref(c->inode);
}

static void note_change(struct sim_disk *d, enum change_kind kind, const char *path, const char *to, struct inode *n)
{
    if (d->pending_count == d->pending_room) {
        d->pending_room = d->pending_room == 0 ? 16 : d->pending_room * 2;
        d->pending = check_alloc(realloc(d->pending, d->pending_room * sizeof(*d->pending)));
    }
    inode_ref(n);
    d->pending[d->pending_count++] = (struct change){
        .kind = kind, .path = check_alloc(strdup(path)), .to = to == NULL ? NULL : check_alloc(strdup(to)), .inode = n};
}

static bool names(const struct change *c, const char *path)
{
    return strcmp(c->path, path) == 0 || (c->to != NULL && strcmp(c->to, path) == 0);
}

static bool share_a_name(const struct change *a, const struct change *b)
{
    return names(a, b->path) || (b->to != NULL && names(a, b->to));
}

/* Makes the chosen changes durable, in order, and forgets them. */
static void commit_chosen(struct sim_disk *d)
{
    size_t left = 0;
    for (size_t i = 0; i < d->pending_count; i++) {
        struct change *c = &d->pending[i];
        if (c->chosen) {
            apply_to_durable(d, c);
            change_release(c);
        } else {
            d->pending[left++] = *c;
        }
    }
    d->pending_count = left;
}

static void commit_all(struct sim_disk *d)
{
    for (size_t i = 0; i < d->pending_count; i++) d->pending[i].chosen = true;
    commit_chosen(d);
}

static size_t parent_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL || slash == path ? 1 : (size_t)(slash - path);
}

static bool same_parent(const char *a, const char *b)
{
    return parent_len(a) == parent_len(b) && strncmp(a, b, parent_len(a)) == 0;
}

/* A change of the directory, and what it needs: earlier changes of the same names. */
static void commit_directory(struct sim_disk *d, const char *path)
{
    for (size_t i = d->pending_count; i-- > 0;) {
        struct change *c = &d->pending[i];
        c->chosen = same_parent(c->path, path) || (c->to != NULL && same_parent(c->to, path));
        for (size_t j = i + 1; j < d->pending_count && !c->chosen; j++)
            c->chosen = d->pending[j].chosen && share_a_name(c, &d->pending[j]);
    }
    commit_chosen(d);
}

/* ---- A power cut: directories ---- */

static void choose_prefix(struct sim_disk *d)
{
    size_t kept = d->pending_count == 0 ? 0 : rng_below(d->rng, d->pending_count + 1);
    for (size_t i = 0; i < d->pending_count; i++) d->pending[i].chosen = i < kept;
}

static void choose_subset(struct sim_disk *d)
{
    for (size_t i = 0; i < d->pending_count; i++) {
        struct change *c = &d->pending[i];
        c->chosen = coin(d);
        for (size_t j = 0; j < i; j++) c->chosen &= d->pending[j].chosen || !share_a_name(c, &d->pending[j]);
    }
}

static void forget_pending(struct sim_disk *d)
{
    for (size_t i = 0; i < d->pending_count; i++) {
        d->stats.lost_changes++;
        d->stats.lost_renames += d->pending[i].kind == RENAME;
        change_release(&d->pending[i]);
    }
    d->pending_count = 0;
}

static bool parent_is_lost(const struct sim_disk *d, const char *path)
{
    char parent[PATH_MAX];
    snprintf(parent, sizeof(parent), "%.*s", (int)parent_len(path), path);
    return strcmp(parent, "/") != 0 && entries_find(&d->durable, parent) == NULL;
}

static void drop_orphans(struct sim_disk *d)
{
    bool again = true;
    while (again) {
        again = false;
        for (size_t i = 0; i < d->durable.count && !again; i++) {
            if (!parent_is_lost(d, d->durable.at[i].path)) continue;
            durable_remove(d, d->durable.at[i].path);
            again = true;
        }
    }
}

static void clear_now(struct sim_disk *d)
{
    while (d->now.count > 0) now_remove(d, &d->now.at[d->now.count - 1]);
}

void sim_disk_power_cut(struct sim_disk *d)
{
    d->stats.power_cuts++;
    sim_disk_close_all(d);
    if (d->order == SIM_DISK_JOURNAL)
        choose_prefix(d);
    else
        choose_subset(d);
    commit_chosen(d);
    forget_pending(d);
    drop_orphans(d);
    clear_now(d);
    d->reserved = 0;
    for (size_t i = 0; i < d->durable.count; i++) {
        struct entry *e = &d->durable.at[i];
        cut_content(d, e->inode);
        now_add(d, e->path, e->inode);
    }
    d->tears = false;
}

/* ---- The whole ---- */

struct sim_disk *sim_disk_new(struct rng *rng, enum sim_disk_order order)
{
    struct sim_disk *d = check_alloc(calloc(1, sizeof(*d)));
    d->rng = rng;
    d->order = order;
    d->capacity = -1;
    return d;
}

void sim_disk_knows_no_links(struct sim_disk *d)
{
    d->no_links = true;
}

void sim_disk_tear(struct sim_disk *d)
{
    d->tears = true;
}

void sim_disk_free(struct sim_disk *d)
{
    if (d == NULL) return;
    sim_disk_close_all(d);
    forget_pending(d);
    clear_now(d);
    while (d->durable.count > 0) durable_remove(d, d->durable.at[0].path);
    free(d->now.at);
    free(d->durable.at);
    free(d->pending);
    free(d);
}

const struct sim_disk_stats *sim_disk_stats(const struct sim_disk *d)
{
    return &d->stats;
}

void sim_disk_set_order(struct sim_disk *d, enum sim_disk_order order)
{
    d->order = order;
}

void sim_disk_set_capacity(struct sim_disk *d, int64_t bytes)
{
    d->capacity = bytes;
}

int64_t sim_disk_used_bytes(const struct sim_disk *d)
{
    return d->used;
}

void sim_disk_set_fault(struct sim_disk *d, enum sim_disk_fault kind, unsigned ppm)
{
    d->faults[kind] = ppm;
}

int sim_disk_decide(struct sim_disk *d, enum sim_disk_fault kind)
{
    if (d->faults[kind] == 0 || rng_below(d->rng, SIM_DISK_PPM) >= d->faults[kind]) return 0;
    d->stats.failed_reads += kind == SIM_DISK_EIO_READ;
    d->stats.failed_writes += kind == SIM_DISK_EIO_WRITE;
    return -EIO;
}

int64_t sim_disk_free_bytes(const struct sim_disk *d)
{
    if (d->capacity < 0) return INT64_MAX;
    int64_t left = d->capacity - d->used - d->reserved;
    return left > 0 ? left : 0;
}

/* Absolute, without "./", doubled slashes or one at the end. False: too long. */
static bool normalize(const char *path, char out[PATH_MAX])
{
    size_t len = 0;
    while (*path != '\0') {
        size_t part = strcspn(path, "/");
        if (part > 0 && !(part == 1 && path[0] == '.')) {
            if (len + part + 2 > PATH_MAX) return false;
            out[len++] = '/';
            memcpy(out + len, path, part);
            len += part;
        }
        path += part + (path[part] == '/');
    }
    if (len == 0) out[len++] = '/';
    out[len] = '\0';
    return true;
}

static bool parent_exists(const struct sim_disk *d, const char *path)
{
    char parent[PATH_MAX];
    size_t len = parent_len(path);
    if (len == 1) return true; /* of "/" */
    memcpy(parent, path, len);
    parent[len] = '\0';
    struct entry *e = entries_find(&d->now, parent);
    return e != NULL && e->inode->directory;
}

/* 0 and the entry of the path or NULL, or -errno. */
static int look_up(const struct sim_disk *d, const char *path, char full[PATH_MAX], struct entry **out)
{
    if (!normalize(path, full)) return -ENAMETOOLONG;
    if (!parent_exists(d, full)) return -ENOENT;
    *out = entries_find(&d->now, full);
    return 0;
}

static struct inode *make_entry(struct sim_disk *d, const char *path, bool directory)
{
    struct inode *n = inode_new(directory);
    n->changed = true;
    now_add(d, path, n);
    note_change(d, ADD, path, NULL, n);
    return n;
}

static bool is_writable(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY;
}

static struct sim_file *file_new(struct sim_disk *d, struct inode *n, int flags)
{
    struct sim_file *f = check_alloc(calloc(1, sizeof(*f)));
    *f = (struct sim_file){.inode = n, .flags = flags, .next = d->files, .link = &d->files};
    if (f->next != NULL) f->next->link = &f->next;
    d->files = f;
    d->open_files++;
    inode_live(d, n);
    return f;
}

int sim_disk_open(struct sim_disk *d, const char *path, int flags, struct sim_file **out)
{
    char full[PATH_MAX];
    struct entry *e;
    int rc = look_up(d, path, full, &e);
    if (rc < 0) return rc;
    if (e == NULL && !(flags & O_CREAT)) return -ENOENT;
    if (e != NULL && (flags & O_CREAT) && (flags & O_EXCL)) return -EEXIST;
    if (e != NULL && e->inode->directory && is_writable(flags)) return -EISDIR;
    struct inode *n = e != NULL ? e->inode : make_entry(d, full, false);
    if ((flags & O_TRUNC) && n->size > 0) inode_resize(d, n, 0);
    *out = file_new(d, n, flags);
    return 0;
}

void sim_disk_close(struct sim_disk *d, struct sim_file *f)
{
    *f->link = f->next;
    if (f->next != NULL) f->next->link = f->link;
    d->open_files--;
    inode_unlive(d, f->inode);
    free(f);
}

void sim_disk_close_all(struct sim_disk *d)
{
    while (d->files != NULL) sim_disk_close(d, d->files);
}

ssize_t sim_disk_read(struct sim_disk *d, struct sim_file *f, void *buf, size_t len)
{
    struct inode *n = f->inode;
    if (n->directory) return -EISDIR;
    if (sim_disk_decide(d, SIM_DISK_EIO_READ) != 0) return -EIO;
    if (f->pos >= n->size) return 0;
    if (len > n->size - f->pos) len = n->size - f->pos;
    memcpy(buf, n->now + f->pos, len);
    f->pos += len;
    return (ssize_t)len;
}

ssize_t sim_disk_pread(struct sim_disk *d, struct sim_file *f, void *buf, size_t len, int64_t offset)
{
    size_t before = f->pos;
    f->pos = (size_t)offset;
    ssize_t n = sim_disk_read(d, f, buf, len);
    f->pos = before;
    return n;
}

/* How many of len bytes at this place there is room for. */
static size_t room_at(const struct sim_disk *d, const struct inode *n, size_t at, size_t len)
{
    int64_t left = sim_disk_free_bytes(d);
    if (left == INT64_MAX) return len;
    size_t end = (size_t)whole_pages(n->size) + (size_t)left / PAGE * PAGE;
    if (end <= at) return 0;
    return end - at < len ? end - at : len;
}

static ssize_t put_at(struct sim_disk *d, struct sim_file *f, size_t at, const void *buf, size_t len)
{
    size_t fits = room_at(d, f->inode, at, len);
    d->stats.full_writes += fits == 0 && len > 0;
    d->stats.short_writes += fits > 0 && fits < len;
    if (fits == 0 && len > 0) return -ENOSPC;
    inode_write(d, f->inode, at, buf, fits);
    return (ssize_t)fits;
}

static ssize_t write_at(struct sim_disk *d, struct sim_file *f, size_t at, const void *buf, size_t len)
{
    if (!is_writable(f->flags)) return -EBADF;
    if (sim_disk_decide(d, SIM_DISK_EIO_WRITE) != 0) return -EIO;
    return put_at(d, f, at, buf, len);
}

ssize_t sim_disk_write(struct sim_disk *d, struct sim_file *f, const void *buf, size_t len)
{
    if (f->flags & O_APPEND) f->pos = f->inode->size;
    ssize_t n = write_at(d, f, f->pos, buf, len);
    if (n > 0) f->pos += (size_t)n;
    return n;
}

ssize_t sim_disk_pwritev(struct sim_disk *d, struct sim_file *f, const struct iovec *iov, int count, int64_t offset)
{
    ssize_t total = 0, good = 0;
    int whole = 0;
    if (!is_writable(f->flags)) return -EBADF;
    for (; whole < count && sim_disk_decide(d, SIM_DISK_EIO_WRITE) == 0; whole++) good += (ssize_t)iov[whole].iov_len;
    if (whole < count)
        good -= (ssize_t)((offset + good) % SIM_DISK_PAGE); /* a page is taken or not, whatever its parts */
    if (whole < count && good <= 0) return -EIO;
    for (int i = 0; i < count && total < good; i++) {
        size_t len = (ssize_t)iov[i].iov_len < good - total ? iov[i].iov_len : (size_t)(good - total);
        ssize_t n = put_at(d, f, (size_t)(offset + total), iov[i].iov_base, len);
        if (n < 0) return total > 0 ? total : n;
        total += n;
        if ((size_t)n < len) break;
    }
    return total;
}

int sim_disk_truncate(struct sim_disk *d, struct sim_file *f, int64_t len)
{
    if (!is_writable(f->flags) || len < 0) return -EINVAL;
    if ((size_t)len != f->inode->size) inode_resize(d, f->inode, (size_t)len);
    return 0;
}

int sim_disk_fsync_as(struct sim_disk *d, struct sim_file *f, int result)
{
    d->stats.fsyncs++;
    if (result < 0) {
        d->stats.failed_fsyncs++;
        inode_sync_failing(d, f->inode);
        return result;
    }
    if (d->order == SIM_DISK_JOURNAL && f->inode->changed) commit_all(d);
    inode_sync(f->inode);
    return 0;
}

int sim_disk_fsync(struct sim_disk *d, struct sim_file *f)
{
    return sim_disk_fsync_as(d, f, sim_disk_decide(d, SIM_DISK_EIO_FSYNC));
}

/* What has begun to be written may be on the disk at a power cut, as everything that was not synced. */
int sim_disk_start_sync(struct sim_disk *d, struct sim_file *f)
{
    return 0;
}

int sim_disk_decide_dir(struct sim_disk *d)
{
    int rc = sim_disk_decide(d, SIM_DISK_EIO_FSYNC);
    return rc != 0 ? rc : sim_disk_decide(d, SIM_DISK_EIO_DIRECTORY);
}

int sim_disk_fsync_dir(struct sim_disk *d, const char *path_of_file)
{
    return sim_disk_fsync_dir_as(d, path_of_file, sim_disk_decide_dir(d));
}

int sim_disk_fsync_dir_as(struct sim_disk *d, const char *path_of_file, int result)
{
    char full[PATH_MAX];
    if (!normalize(path_of_file, full)) return -ENAMETOOLONG;
    if (!parent_exists(d, full)) return -ENOENT;
    if (result != 0) {
        d->stats.failed_dir_fsyncs++;
        return result;
    }
    d->stats.dir_fsyncs++;
    if (d->order == SIM_DISK_JOURNAL)
        commit_all(d);
    else
        commit_directory(d, full);
    return 0;
}

/* *e exists; *target is NULL if there is nothing of that name. */
static int look_up_both(struct sim_disk *d, const char *from, char full_from[PATH_MAX], struct entry **e,
                        const char *to, char full_to[PATH_MAX], struct entry **target)
{
    int rc = look_up(d, from, full_from, e);
    if (rc == 0) rc = look_up(d, to, full_to, target);
    return rc == 0 && *e == NULL ? -ENOENT : rc;
}

int sim_disk_rename(struct sim_disk *d, const char *from, const char *to)
{
    char full_from[PATH_MAX], full_to[PATH_MAX];
    struct entry *e, *target;
    int rc = look_up_both(d, from, full_from, &e, to, full_to, &target);
    if (rc < 0) return rc;
    if (e->inode->directory) return -EOPNOTSUPP;
    if (target != NULL && target->inode->directory) return -EISDIR;
    if (target == e) return 0;
    struct inode *n = e->inode;
    note_change(d, RENAME, full_from, full_to, n);
    inode_live(d, n);
    now_remove(d, e);
    target = entries_find(&d->now, full_to);
    if (target != NULL) now_remove(d, target);
    now_add(d, full_to, n);
    inode_unlive(d, n);
    return 0;
}

int sim_disk_link(struct sim_disk *d, const char *from, const char *to)
{
    char full_from[PATH_MAX], full_to[PATH_MAX];
    struct entry *e, *target;
    int rc = look_up_both(d, from, full_from, &e, to, full_to, &target);
    if (rc < 0) return rc;
    if (e->inode->directory) return -EPERM;
    if (target != NULL) return -EEXIST;
    if (d->no_links) return -EPERM;
    struct inode *n = e->inode;
    now_add(d, full_to, n);
    note_change(d, ADD, full_to, NULL, n);
    return 0;
}

static bool has_children(const struct sim_disk *d, const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < d->now.count; i++) {
        if (strncmp(d->now.at[i].path, path, len) == 0 && d->now.at[i].path[len] == '/') return true;
    }
    return false;
}

int sim_disk_unlink(struct sim_disk *d, const char *path)
{
    char full[PATH_MAX];
    struct entry *e;
    int rc = look_up(d, path, full, &e);
    if (rc < 0) return rc;
    if (e == NULL) return -ENOENT;
    if (e->inode->directory) return has_children(d, full) ? -ENOTEMPTY : -EISDIR;
    note_change(d, REMOVE, full, NULL, e->inode);
    now_remove(d, e);
    return 0;
}

int sim_disk_mkdir(struct sim_disk *d, const char *path)
{
    char full[PATH_MAX];
    struct entry *e;
    int rc = look_up(d, path, full, &e);
    if (rc < 0) return rc;
    if (e != NULL || strcmp(full, "/") == 0) return -EEXIST;
    make_entry(d, full, true);
    return 0;
}

int64_t sim_disk_file_size(struct sim_disk *d, const char *path)
{
    char full[PATH_MAX];
    struct entry *e;
    int rc = look_up(d, path, full, &e);
    if (rc < 0) return rc;
    if (e == NULL) return strcmp(full, "/") == 0 ? PAGE : -ENOENT;
    return e->inode->directory ? PAGE : (int64_t)e->inode->size;
}

/* ---- A child process ---- */

size_t sim_disk_reserve(struct sim_disk *d, size_t len)
{
    int64_t left = sim_disk_free_bytes(d);
    if ((int64_t)len > left) len = (size_t)left;
    d->reserved += (int64_t)len;
    return len;
}

void sim_disk_unreserve(struct sim_disk *d, size_t len)
{
    d->reserved -= (int64_t)len;
    if (d->reserved < 0) d->reserved = 0;
}

void sim_disk_write_reserved(struct sim_disk *d, struct sim_file *f, const void *buf, size_t len)
{
    sim_disk_unreserve(d, len);
    if (f->flags & O_APPEND) f->pos = f->inode->size;
    inode_write(d, f->inode, f->pos, buf, len);
    f->pos += len;
}

/* ---- What tests look at ---- */

void sim_disk_list(const struct sim_disk *d, sim_disk_list_fn *fn, void *ctx)
{
    for (size_t i = 0; i < d->now.count; i++) {
        const struct inode *n = d->now.at[i].inode;
        fn(ctx, d->now.at[i].path, bytes_view((const char *)n->now, n->size), n->directory);
    }
}

bool sim_disk_content(const struct sim_disk *d, const char *path, struct bytes_view *out)
{
    char full[PATH_MAX];
    struct entry *e = normalize(path, full) ? entries_find(&d->now, full) : NULL;
    if (e == NULL || e->inode->directory) return false;
    *out = bytes_view((const char *)e->inode->now, e->inode->size);
    return true;
}

unsigned sim_disk_open_files(const struct sim_disk *d)
{
    return d->open_files;
}

bool sim_disk_has_renamed(const struct sim_disk *d)
{
    for (size_t i = 0; i < d->pending_count; i++) {
        if (d->pending[i].kind == RENAME) return true;
    }
    return false;
}

bool sim_disk_is_clean(const struct sim_disk *d)
{
    if (d->pending_count > 0) return false;
    for (size_t i = 0; i < d->now.count; i++) {
        if (inode_differs(d->now.at[i].inode)) return false;
    }
    return true;
}

void sim_disk_check(const struct sim_disk *d)
{
    int64_t used = 0;
    for (size_t i = 0; i < d->now.count; i++) {
        const struct inode *n = d->now.at[i].inode;
        ASSERT(n->live > 0 && n->refs >= n->live);
        ASSERT(n->lowest <= n->size && n->lowest <= n->durable_size && n->size <= n->room);
        ASSERT(n->changed || !inode_differs(n));
        bool counted = false;
        for (size_t j = 0; j < i; j++) counted |= d->now.at[j].inode == n;
        if (!counted) used += whole_pages(n->size);
    }
    for (const struct sim_file *f = d->files; f != NULL; f = f->next) ASSERT(f->inode->live > 0);
    ASSERT(d->used >= used);
    if (d->open_files == 0) ASSERT(d->used == used);
}

/* Design: a listpack is one packed node within struct list. A quicklist also has a chain, of which that node may be
 * one. So a small list has two small allocations, and both encodings share the code that works on nodes.
 *
 * Nodes further than list_compress_depth from both ends are compressed. A node that is edited is unpacked first and
 * packed again by settle_compression(). A node that is only read is unpacked into a copy.
 *
 * Invariants (list_check()):
 * 1. No node is empty; counts add up.
 * 2. The first and the last node are not compressed.
 * 3. Without a chain there is at most the list's own node, a packed one. */
#include "storage/list.h"

#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/list_node.h"

struct list_chain {
    struct list_node *head, *tail;
    size_t count;               /* elements */
    uint32_t nodes, compressed; /* nodes, and compressed ones among them */
    /* Cache: the compressed node that was read last, unpacked, so that repeated reads of one node unpack it once. It
     * may change while the list is const. */
    const struct list_node *copy_of;
    unsigned char *copy;
};

struct list {
    const struct value_env *env;
    struct list_chain *chain; /* NULL: a listpack, all in `own` */
    struct list_node own;     /* unused while it has no buffer */
};
_Static_assert(sizeof(struct list) == 64, "one cache line");

/* ---- limits ---- */

struct node_limit {
    size_t bytes, count;
};

/* The limits by list-max-listpack-size. A limit of elements has a limit of bytes besides. */
static struct node_limit node_limit(const struct list *l)
{
    int size = l->env->limits->list_max_listpack_size;
    if (size > 0) return (struct node_limit){.bytes = 8192, .count = (size_t)size};
    if (size == 0) return (struct node_limit){.bytes = 8192, .count = 1};
    return (struct node_limit){.bytes = (size_t)2048 << (size < -5 ? 5 : -size), .count = SIZE_MAX};
}

static bool within(struct node_limit limit, size_t bytes, size_t count)
{
    return bytes <= limit.bytes && count <= limit.count;
}

/* True for an element that does not fit a node even alone. */
static bool needs_plain(const struct list *l, const struct lp_encoded *e)
{
    size_t wanted = l->env->limits->list_plain_min;
    if (wanted != 0 && e->body.len >= wanted) return true;
    return LP_EMPTY_SIZE + lp_encoded_size(e) > node_limit(l).bytes;
}

static bool node_takes(const struct list *l, const struct list_node *n, const struct lp_encoded *e)
{
    return !n->plain && !needs_plain(l, e) && within(node_limit(l), n->len + lp_encoded_size(e), n->count + 1u);
}

/* ---- the chain ---- */

static struct list_node *own_node(const struct list *l)
{
    return l->own.buf != NULL ? (struct list_node *)&l->own : NULL;
}

static struct list_node *end_node(const struct list *l, enum list_end end)
{
    if (l->chain == NULL) return own_node(l);
    return end == LIST_HEAD ? l->chain->head : l->chain->tail;
}

static struct list_node *first_node(const struct list *l)
{
    return end_node(l, LIST_HEAD);
}

/* Call these when the count of a node has changed. */
static void count_added(struct list *l, size_t n)
{
    if (l->chain != NULL) l->chain->count += n;
}

static void count_removed(struct list *l, size_t n)
{
    if (l->chain != NULL) l->chain->count -= n;
}

static void make_chain(struct list *l)
{
    struct list_node *own = own_node(l);
    struct list_chain *c = mem_calloc(sizeof(*c));
    c->head = c->tail = own;
    c->nodes = own != NULL;
    c->count = own != NULL ? own->count : 0;
    l->chain = c;
}

/* The caller has made sure that the chain has at most one node, which is packed; as the first node it is not
 * compressed. */
static void drop_chain(struct list *l)
{
    struct list_node *only = l->chain->head;
    ASSERT(l->chain->nodes <= 1 && l->chain->copy == NULL);
    if (only != NULL && only != &l->own) {
        l->own = *only;
        mem_free_sized(only, sizeof(*only));
    }
    mem_free_sized(l->chain, sizeof(*l->chain));
    l->chain = NULL;
}

static void forget_copy(struct list_chain *c)
{
    mem_free(c->copy);
    c->copy = NULL;
    c->copy_of = NULL;
}

static struct list_node *node_alloc(struct list *l)
{
    return own_node(l) == NULL ? &l->own : mem_alloc(sizeof(struct list_node));
}

static void node_dealloc(struct list *l, struct list_node *n)
{
    list_node_release(n);
    if (n == &l->own)
        n->count = 0;
    else
        mem_free_sized(n, sizeof(*n));
}

/* Links a node before `next` (NULL: at the tail). */
static void link_before(struct list *l, struct list_node *n, struct list_node *next)
{
    struct list_chain *c = l->chain;
    n->next = n->prev = NULL;
    if (c == NULL) return;
    n->next = next;
    n->prev = next != NULL ? next->prev : c->tail;
    *(n->prev != NULL ? &n->prev->next : &c->head) = n;
    *(next != NULL ? &next->prev : &c->tail) = n;
    c->nodes++;
    c->compressed += n->lzf_len > 0;
}

/* Unlinks a node with its elements and frees it. */
static void drop_node(struct list *l, struct list_node *n)
{
    struct list_chain *c = l->chain;
    if (c != NULL) {
        *(n->prev != NULL ? &n->prev->next : &c->head) = n->next;
        *(n->next != NULL ? &n->next->prev : &c->tail) = n->prev;
        c->nodes--;
        c->compressed -= n->lzf_len > 0;
        c->count -= n->count;
        if (c->copy_of == n) forget_copy(c);
    }
    node_dealloc(l, n);
}

static struct list_node *new_packed_before(struct list *l, struct list_node *next)
{
    struct list_node *n = node_alloc(l);
    list_node_init_packed(n);
    link_before(l, n, next);
    return n;
}

static struct list_node *new_plain_before(struct list *l, struct list_node *next, struct bytes_view value)
{
    struct list_node *n = node_alloc(l);
    list_node_init_plain(n, value);
    link_before(l, n, next);
    count_added(l, 1);
    return n;
}

/* ---- compression ---- */

static void compress_node(struct list *l, struct list_node *n)
{
    if (n->lzf_len > 0) return;
    list_node_compress(n);
    l->chain->compressed += n->lzf_len > 0;
}

static void unpack_node(struct list *l, struct list_node *n)
{
    if (n->lzf_len == 0) return;
    if (l->chain->copy_of == n) forget_copy(l->chain);
    list_node_unpack(n);
    l->chain->compressed--;
}

/* Call after nodes were added, removed or edited. Unpacks the nodes at the ends, packs those just inside, and packs
 * the edited node if it is further inside. Depth 0 packs nothing, but unpacks the two end nodes. */
static void settle_compression(struct list *l, struct list_node *edited)
{
    int depth = l->env->limits->list_compress_depth;
    if (l->chain == NULL || (depth <= 0 && l->chain->compressed == 0)) return;
    struct list_node *front = l->chain->head, *back = l->chain->tail;
    for (int i = 0; i < (depth > 0 ? depth : 1); i++) {
        if (front == NULL) return;
        unpack_node(l, front);
        unpack_node(l, back);
        if (front == edited || back == edited) edited = NULL;
        if (front == back || front->next == back) return;
        front = front->next;
        back = back->prev;
    }
    if (depth <= 0) return;
    compress_node(l, front);
    compress_node(l, back);
    if (edited != NULL) compress_node(l, edited);
}

/* The bytes of a node for reading: its listpack or its plain element. */
static const unsigned char *node_bytes(const struct list *l, const struct list_node *n)
{
    struct list_chain *c = l->chain;
    if (n->lzf_len == 0) return list_node_lp(n);
    if (c->copy_of != n) {
        forget_copy(c);
        c->copy = list_node_unpacked_copy(n);
        c->copy_of = n;
    }
    return c->copy;
}

/* ---- encoding ---- */

/* Call before an element is added or set (Redis counts both alike). Converts to a quicklist if the listpack would
 * exceed the limit. */
static void grow_encoding(struct list *l, size_t extra)
{
    size_t sum;
    if (l->chain != NULL) return;
    size_t bytes = own_node(l) != NULL ? l->own.len : LP_EMPTY_SIZE;
    if (add_overflow(bytes, extra, &sum) || !within(node_limit(l), sum, l->own.count + (size_t)1)) make_chain(l);
}

/* Call after removals. Converts back to a listpack at half the limit, so that the encoding does not flip back and
 * forth. */
static void shrink_encoding(struct list *l)
{
    if (l->chain == NULL || l->chain->nodes > 1) return;
    struct node_limit limit = node_limit(l);
    const struct list_node *n = l->chain->head;
    if (n != NULL && n->plain) return;
    if (n == NULL || (limit.count != SIZE_MAX ? n->count <= limit.count / 2 : n->len <= limit.bytes / 2)) drop_chain(l);
}

/* ---- life ---- */

struct list *list_new(const struct value_env *env)
{
    struct list *l = mem_calloc(sizeof(*l));
    l->env = env;
    return l;
}

void list_free(struct list *l)
{
    for (struct list_node *n; (n = first_node(l)) != NULL;) drop_node(l, n);
    if (l->chain != NULL) mem_free_sized(l->chain, sizeof(*l->chain));
    mem_free_sized(l, sizeof(*l));
}

struct list *list_dup(const struct list *l)
{
    struct list *copy = list_new(l->env);
    if (l->chain != NULL) make_chain(copy);
    for (const struct list_node *n = first_node(l); n != NULL; n = n->next) {
        struct list_node *twin = node_alloc(copy);
        list_node_init_copy(twin, n);
        link_before(copy, twin, NULL);
        count_added(copy, twin->count);
    }
    return copy;
}

size_t list_count(const struct list *l)
{
    return l->chain != NULL ? l->chain->count : l->own.count;
}

enum value_encoding list_encoding(const struct list *l)
{
    return l->chain != NULL ? ENCODING_QUICKLIST : ENCODING_LISTPACK;
}

size_t list_nodes(const struct list *l)
{
    return l->chain != NULL ? l->chain->nodes : own_node(l) != NULL;
}

size_t list_memory(const struct list *l, size_t samples)
{
    size_t looked = 0, bytes = 0, nodes = list_nodes(l);
    const struct list_node *n = first_node(l);
    for (; n != NULL && (samples == 0 || looked < samples); n = n->next, looked++)
        bytes += list_node_memory(n) + (n == &l->own ? 0 : sizeof(*n));
    if (looked > 0 && looked < nodes) bytes = (size_t)((double)bytes / (double)looked * (double)nodes);
    return mem_usable_size(l) + mem_usable_size(l->chain) + bytes;
}

size_t list_free_effort(const struct list *l)
{
    return list_nodes(l);
}

/* ---- the ends ---- */

/* The previous end node will be an inner node, so its spare room is released. */
static struct list_node *new_end_node(struct list *l, enum list_end end)
{
    struct list_node *old = end_node(l, end);
    if (old != NULL) list_node_trim(old);
    return new_packed_before(l, end == LIST_HEAD ? old : NULL);
}

void list_push(struct list *l, enum list_end end, struct bytes_view value)
{
    struct lp_encoded e;
    grow_encoding(l, value.len);
    lp_encode(&e, value);
    struct list_node *n = end_node(l, end);
    bool new_node = n == NULL || (l->chain != NULL && !node_takes(l, n, &e));
    if (new_node && l->chain != NULL && needs_plain(l, &e)) {
        new_plain_before(l, end == LIST_HEAD ? n : NULL, value);
    } else {
        if (new_node) n = new_end_node(l, end);
        list_node_splice(n, end == LIST_HEAD ? LP_HEADER_SIZE : list_node_end(n), 0, 0, &e);
        count_added(l, 1);
    }
    if (new_node) settle_compression(l, NULL);
}

static struct bytes_view entry_view(const unsigned char *p, struct number_text *buf)
{
    return lp_get_view(p, buf->text);
}

bool list_peek(const struct list *l, enum list_end end, struct number_text *buf, struct bytes_view *value)
{
    const struct list_node *n = end_node(l, end);
    if (n == NULL) return false;
    if (n->plain)
        *value = bytes_view(n->buf, n->len);
    else
        *value = entry_view(end == LIST_HEAD ? lp_first(list_node_lp(n)) : lp_last(list_node_lp(n)), buf);
    return true;
}

void list_drop(struct list *l, enum list_end end)
{
    struct list_node *n = end_node(l, end);
    ASSERT(n != NULL);
    if (n->count == 1) {
        drop_node(l, n);
        settle_compression(l, NULL);
    } else {
        const unsigned char *lp = list_node_lp(n), *p = end == LIST_HEAD ? lp_first(lp) : lp_last(lp);
        list_node_splice(n, (size_t)(p - lp), lp_entry_size_at(p), 1, NULL);
        count_removed(l, 1);
    }
    shrink_encoding(l);
}

/* ---- positions in the middle ---- */

/* The position of the element that begins at `offset` of the node; 0 in a plain node. */
struct place {
    struct list_node *node;
    size_t offset;
};

/* Returns the node with this index and sets *within_node to the index within it. NULL: out of range. */
static struct list_node *find_node(const struct list *l, int64_t index, size_t *within_node)
{
    size_t count = list_count(l);
    if (index < 0) index += (int64_t)count;
    if (index < 0 || (uint64_t)index >= count) return NULL;
    size_t at = (size_t)index;
    struct list_node *n = first_node(l);
    if (at < count / 2) {
        for (; at >= n->count; n = n->next) at -= n->count;
        *within_node = at;
    } else {
        size_t from_end = count - at; /* 1 for the last element */
        for (n = end_node(l, LIST_TAIL); from_end > n->count; n = n->prev) from_end -= n->count;
        *within_node = n->count - from_end;
    }
    return n;
}

bool list_get(const struct list *l, int64_t index, struct number_text *buf, struct bytes_view *value)
{
    size_t at;
    const struct list_node *n = find_node(l, index, &at);
    if (n == NULL) return false;
    const unsigned char *bytes = node_bytes(l, n);
    *value = n->plain ? bytes_view(bytes, n->len) : entry_view(lp_seek(bytes, (int64_t)at), buf);
    return true;
}

static size_t offset_of(const struct list_node *n, size_t index)
{
    if (n->plain) return 0;
    const unsigned char *lp = list_node_lp(n);
    return index == n->count ? list_node_end(n) : (size_t)(lp_seek(lp, (int64_t)index) - lp);
}

static size_t entries_from(const struct list_node *n, size_t offset)
{
    const unsigned char *lp = list_node_lp(n);
    size_t count = 0;
    for (const unsigned char *p = lp + offset, *end = lp + list_node_end(n); p < end; p += lp_entry_size_at(p)) count++;
    return count;
}

/* Splits a packed node at an inner offset. Returns the right part. */
static struct list_node *split_node(struct list *l, struct list_node *n, size_t offset)
{
    struct list_node *right = node_alloc(l);
    list_node_split(n, offset, entries_from(n, offset), right);
    link_before(l, right, n->next);
    return right;
}

static void splice_in(struct list *l, struct list_node *n, size_t offset, const struct lp_encoded *e)
{
    list_node_splice(n, offset, 0, 0, e);
    count_added(l, 1);
}

/* Inserts between two nodes, either of which may be NULL: into one of them, or as a new node. Returns that node. */
static struct list_node *insert_between(struct list *l, struct list_node *left, struct list_node *right,
                                        struct bytes_view value, const struct lp_encoded *e)
{
    if (needs_plain(l, e)) return new_plain_before(l, right, value);
    struct list_node *into = left != NULL && node_takes(l, left, e)     ? left
                             : right != NULL && node_takes(l, right, e) ? right
                                                                        : new_packed_before(l, right);
    unpack_node(l, into);
    splice_in(l, into, into == right ? LP_HEADER_SIZE : list_node_end(into), e);
    return into;
}

/* Inserts before the element at the position. The node must be unpacked; it may be empty after a removal. */
static void insert_at(struct list *l, struct place at, struct bytes_view value)
{
    struct list_node *n = at.node, *edited = n;
    struct lp_encoded e;
    lp_encode(&e, value);
    if (l->chain == NULL || node_takes(l, n, &e)) {
        splice_in(l, n, at.offset, &e);
    } else if (n->plain ? at.offset == 0 : at.offset == LP_HEADER_SIZE) {
        edited = insert_between(l, n->prev, n, value, &e);
    } else if (n->plain || at.offset == list_node_end(n)) {
        edited = insert_between(l, n, n->next, value, &e);
    } else {
        struct list_node *right = split_node(l, n, at.offset);
        edited = insert_between(l, n, right, value, &e);
        settle_compression(l, right);
    }
    settle_compression(l, edited);
    settle_compression(l, n);
}

/* ---- merging ---- */

/* Merges two neighbours into `a` if that leaves a quarter of the limit free. */
static bool join(struct list *l, struct list_node *a, struct list_node *b)
{
    if (a == NULL || b == NULL || a->plain || b->plain) return false;
    struct node_limit limit = node_limit(l);
    limit.bytes -= limit.bytes / 4;
    if (!within(limit, a->len + b->len - LP_EMPTY_SIZE, (size_t)a->count + b->count)) return false;
    unpack_node(l, a);
    unpack_node(l, b);
    list_node_append_all(a, b);
    count_added(l, b->count); /* drop_node() subtracts them again */
    drop_node(l, b);
    return true;
}

/* Call after removals in a node, or between it and the next one. Returns the node that then has its elements. */
static struct list_node *tidy(struct list *l, struct list_node *n, bool join_prev, bool join_next)
{
    if (join_next) join(l, n, n->next);
    struct list_node *prev = n->prev;
    if (join_prev && join(l, prev, n)) n = prev;
    settle_compression(l, n);
    return n;
}

/* ---- changes in the middle ---- */

static void set_plain(struct list *l, struct list_node *n, struct bytes_view value, const struct lp_encoded *e)
{
    list_node_release(n);
    if (needs_plain(l, e)) {
        list_node_init_plain(n, value);
    } else {
        list_node_init_packed(n);
        list_node_splice(n, LP_HEADER_SIZE, 0, 0, e);
    }
    settle_compression(l, n);
}

static void set_packed(struct list *l, struct place at, struct bytes_view value, const struct lp_encoded *e)
{
    struct list_node *n = at.node;
    size_t old = lp_entry_size_at(list_node_lp(n) + at.offset), len = n->len - old + lp_encoded_size(e);
    if (l->chain == NULL || (!needs_plain(l, e) && (len <= n->len || within(node_limit(l), len, n->count)))) {
        list_node_splice(n, at.offset, old, 1, e);
        settle_compression(l, n);
    } else if (n->count == 1) {
        set_plain(l, n, value, e);
    } else {
        list_node_splice(n, at.offset, old, 1, NULL);
        count_removed(l, 1);
        insert_at(l, at, value);
    }
}

bool list_set(struct list *l, int64_t index, struct bytes_view value)
{
    size_t at;
    struct list_node *n = find_node(l, index, &at);
    if (n == NULL) return false;
    struct lp_encoded e;
    lp_encode(&e, value);
    grow_encoding(l, value.len);
    unpack_node(l, n);
    if (n->plain)
        set_plain(l, n, value, &e);
    else
        set_packed(l, (struct place){n, offset_of(n, at)}, value, &e);
    shrink_encoding(l);
    return true;
}

/* Finds the first element of a node, from *offset on, that equals the value. */
static bool find_in_node(const struct list *l, const struct list_node *n, struct bytes_view value, size_t *offset)
{
    const unsigned char *bytes = node_bytes(l, n);
    if (n->plain) {
        *offset = 0;
        return bytes_equal(bytes_view(bytes, n->len), value);
    }
    const unsigned char *p = lp_find(bytes, bytes + *offset, value, 0);
    if (p != NULL) *offset = (size_t)(p - bytes);
    return p != NULL;
}

bool list_insert(struct list *l, struct bytes_view pivot, bool before, struct bytes_view value)
{
    for (struct list_node *n = first_node(l); n != NULL; n = n->next) {
        size_t offset = LP_HEADER_SIZE;
        if (!find_in_node(l, n, pivot, &offset)) continue;
        grow_encoding(l, value.len);
        unpack_node(l, n);
        if (!before) offset += n->plain ? 1 : lp_entry_size_at(list_node_lp(n) + offset);
        insert_at(l, (struct place){n, offset}, value);
        return true;
    }
    return false;
}

/* ---- removals ---- */

static void remove_entry(struct list *l, struct list_node *n, size_t offset)
{
    list_node_splice(n, offset, lp_entry_size_at(list_node_lp(n) + offset), 1, NULL);
    count_removed(l, 1);
}

/* Both remove up to `max` elements and return how many. The node may be empty afterwards. */
static size_t remove_forward(struct list *l, struct list_node *n, struct bytes_view value, size_t max)
{
    size_t gone = 0, offset = LP_HEADER_SIZE;
    while (gone < max && find_in_node(l, n, value, &offset)) {
        unpack_node(l, n);
        remove_entry(l, n, offset);
        gone++;
    }
    return gone;
}

static size_t remove_backward(struct list *l, struct list_node *n, struct bytes_view value, size_t max)
{
    size_t gone = 0, offset = LP_HEADER_SIZE;
    if (!find_in_node(l, n, value, &offset)) return 0;
    unpack_node(l, n);
    for (offset = list_node_end(n); gone < max && offset > LP_HEADER_SIZE;) {
        const unsigned char *lp = list_node_lp(n), *p = lp_prev(lp, lp + offset);
        offset = (size_t)(p - lp);
        if (!lp_compare(p, value)) continue;
        remove_entry(l, n, offset);
        gone++;
    }
    return gone;
}

/* Removes matching elements of one node. Sets *n to NULL if the node was freed. */
static size_t remove_in_node(struct list *l, struct list_node **n, struct bytes_view value, bool reverse, size_t max)
{
    size_t gone, unused;
    if ((*n)->plain)
        gone = (size_t)find_in_node(l, *n, value, &unused);
    else
        gone = reverse ? remove_backward(l, *n, value, max) : remove_forward(l, *n, value, max);
    if (gone > 0 && ((*n)->plain || (*n)->count == 0)) {
        drop_node(l, *n);
        *n = NULL;
    }
    return gone;
}

size_t list_remove(struct list *l, int64_t count, struct bytes_view value)
{
    bool reverse = count < 0;
    size_t max = count == 0 ? SIZE_MAX : reverse ? 0 - (size_t)count : (size_t)count, gone = 0;
    struct list_node *touched = NULL;
    for (struct list_node *n = end_node(l, reverse ? LIST_TAIL : LIST_HEAD), *after; n != NULL && gone < max;
         n = after) {
        after = reverse ? n->prev : n->next;
        size_t here = remove_in_node(l, &n, value, reverse, max - gone);
        gone += here;
        if (here > 0 && n != NULL) touched = tidy(l, n, !reverse, reverse); /* merge with the side already searched */
    }
    if (touched != NULL) tidy(l, touched, true, true);
    if (gone > 0) settle_compression(l, NULL);
    shrink_encoding(l);
    return gone;
}

/* Removes up to `count` elements of a node from an index on. Returns how many. */
static size_t remove_run(struct list *l, struct list_node *n, size_t from, size_t count)
{
    size_t last = n->count - from;
    if (count > last) count = last;
    if (count == n->count) {
        drop_node(l, n);
        return count;
    }
    unpack_node(l, n);
    size_t start = offset_of(n, from), end = offset_of(n, from + count);
    list_node_splice(n, start, end - start, count, NULL);
    count_removed(l, count);
    return count;
}

void list_remove_range(struct list *l, size_t start, size_t count)
{
    size_t at;
    struct list_node *n = start < list_count(l) ? find_node(l, (int64_t)start, &at) : NULL;
    if (n == NULL || count == 0) return;
    struct list_node *left = at > 0 ? n : n->prev; /* the node before the gap */
    while (n != NULL && count > 0) {
        struct list_node *next = n->next;
        count -= remove_run(l, n, at, count);
        at = 0;
        n = next;
    }
    if (left == NULL) left = first_node(l);
    if (left != NULL) tidy(l, left, true, true);
    shrink_encoding(l);
}

/* ---- iteration ---- */

static const unsigned char *step(const struct list_iter *it, const unsigned char *p)
{
    return it->reverse ? lp_prev(it->lp, p) : lp_next(it->lp, p);
}

/* Enters a node; index -1 is its last element. */
static void iter_enter(struct list_iter *it, struct list_node *n, int64_t index)
{
    mem_free(it->unpacked);
    it->unpacked = NULL;
    it->node = n;
    if (n == NULL) return;
    if (n->lzf_len > 0) it->unpacked = list_node_unpacked_copy(n);
    unsigned char *bytes = it->unpacked != NULL ? it->unpacked : list_node_lp(n);
    it->lp = n->plain ? NULL : bytes;
    it->element = n->plain ? bytes : lp_seek(bytes, index);
}

void list_iter_init(struct list_iter *it, const struct list *l, int64_t index, bool reverse)
{
    size_t at = 0;
    struct list_node *n = find_node(l, index, &at);
    it->list = l;
    it->reverse = reverse;
    it->unpacked = NULL;
    iter_enter(it, n, (int64_t)at);
}

bool list_iter_next(struct list_iter *it, struct bytes_view *value)
{
    if (it->node != NULL && it->element == NULL)
        iter_enter(it, it->reverse ? it->node->prev : it->node->next, it->reverse ? -1 : 0);
    if (it->node == NULL) return false;
    if (it->lp == NULL) {
        *value = bytes_view(it->element, it->node->len);
        it->element = NULL;
    } else {
        *value = entry_view(it->element, &it->buf);
        it->element = (unsigned char *)step(it, it->element);
    }
    return true;
}

void list_iter_release(struct list_iter *it)
{
    mem_free(it->unpacked);
    it->unpacked = NULL;
    it->node = NULL;
}

/* ---- RDB ---- */

void list_walk_init(struct list_walk *w, const struct list *l)
{
    *w = (struct list_walk){.list = l, .node = first_node(l)};
}

bool list_walk_next(struct list_walk *w, struct bytes_view *bytes, bool *plain, unsigned char **owned)
{
    const struct list_node *n = w->node;
    *owned = NULL;
    if (n == NULL) return false;
    if (n->lzf_len > 0) *owned = list_node_unpacked_copy(n);
    *bytes = bytes_view(*owned != NULL ? *owned : list_node_lp(n), n->len);
    *plain = n->plain;
    w->node = n->next;
    return true;
}

void list_append_node(struct list *l, unsigned char *bytes, size_t len, bool plain)
{
    if (l->chain == NULL) make_chain(l);
    struct list_node *n = node_alloc(l);
    list_node_init_taking(n, bytes, len, plain);
    link_before(l, n, NULL);
    count_added(l, n->count);
    if (n->count == 0)
        drop_node(l, n);
    else
        settle_compression(l, NULL);
}

void list_finish_load(struct list *l)
{
    const struct list_node *n = first_node(l);
    if (l->chain == NULL || l->chain->nodes > 1) return;
    if (n == NULL || (!n->plain && within(node_limit(l), n->len, n->count))) drop_chain(l);
}

/* ---- checks ---- */

static void check_chain(const struct list *l, const struct list_chain *c)
{
    size_t count = 0, nodes = 0, compressed = 0;
    bool own_seen = false;
    for (const struct list_node *n = c->head; n != NULL; n = n->next) {
        list_node_check(n);
        ASSERT(n->prev != NULL ? n->prev->next == n : c->head == n);
        ASSERT(n->next != NULL ? n->next->prev == n : c->tail == n);
        count += n->count;
        nodes++;
        compressed += n->lzf_len > 0;
        own_seen |= n == &l->own;
    }
    ASSERT(count == c->count && nodes == c->nodes && compressed == c->compressed && own_seen == (own_node(l) != NULL));
    ASSERT(c->head == NULL ? c->tail == NULL : c->head->lzf_len == 0 && c->tail->lzf_len == 0);
    ASSERT((c->copy == NULL) == (c->copy_of == NULL) && (c->copy_of == NULL || c->copy_of->lzf_len > 0));
}

void list_check(const struct list *l)
{
    const struct list_node *own = own_node(l);
    if (l->chain != NULL) {
        check_chain(l, l->chain);
    } else if (own != NULL) {
        list_node_check(own);
        ASSERT(!own->plain && own->lzf_len == 0 && own->prev == NULL && own->next == NULL);
    } else {
        ASSERT(l->own.count == 0);
    }
}

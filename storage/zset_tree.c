#include "storage/zset_tree.h"

#include "storage/base/prefetch.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

enum {
    LEAF_CAP = 100,
    LEAF_MIN = LEAF_CAP / 4,
    LEAF_JOIN = LEAF_CAP * 3 / 4,  /* two leaves with no more members together are merged */
    LEAF_SHARE = LEAF_CAP * 7 / 8, /* a full leaf gives members to a neighbour that has no more than this */
    INNER_CAP = 68,
    INNER_MIN = INNER_CAP / 4,
    INNER_JOIN = INNER_CAP * 3 / 4,
    LEVELS_MAX = 16,
    SKIP_MAX = UINT16_MAX, /* a skip below the possible maximum is valid */
    PREFETCH_AHEAD = 8,
};

typedef uint8_t packed_pointer[6];

struct zset_leaf {
    struct zset_leaf *prev, *next;
    uint16_t count;
    uint16_t skip;
    uint32_t heads[LEAF_CAP];
    packed_pointer members[LEAF_CAP];
};
_Static_assert(sizeof(struct zset_leaf) <= 1024 && sizeof(struct zset_leaf) > 1024 - 10, "fills its size class");

/* One separator less than children: seps[i] and heads[i] are between children[i] and children[i + 1]. */
struct zset_inner {
    uint16_t count; /* of children */
    uint16_t skip;
    uint64_t heads[INNER_CAP - 1];
    packed_pointer seps[INNER_CAP - 1];
    void *children[INNER_CAP];
    uint64_t counts[INNER_CAP]; /* number of members below each child */
};
_Static_assert(sizeof(struct zset_inner) <= 2048, "within its size class");

/* The path from the root to a leaf; steps[0] is the parent of the leaf. */
struct zset_path {
    struct {
        struct zset_inner *node;
        unsigned at; /* index of the child on the path */
    } steps[LEVELS_MAX];
    struct zset_leaf *leaf;
};

/* ---- members ---- */

struct zset_member *zset_member_new(struct bytes_view bytes, double score)
{
    bool is_long = bytes.len >= ZSET_MEMBER_LONG;
    uint32_t len = (uint32_t)bytes.len;
    ASSERT(bytes.len <= UINT32_MAX);
    struct zset_member *m = mem_alloc(sizeof(*m) + (is_long ? sizeof(len) : 0) + bytes.len);
    m->score = score;
    m->len = is_long ? ZSET_MEMBER_LONG : (uint8_t)len;
    if (is_long) memcpy(m->rest, &len, sizeof(len));
    if (len > 0) memcpy(m->rest + (is_long ? sizeof(len) : 0), bytes.data, len);
    return m;
}

size_t zset_member_size(const struct zset_member *m)
{
    struct bytes_view bytes = zset_member_bytes(m);
    return (size_t)(bytes.data - (const char *)m) + bytes.len;
}

void zset_member_free(struct zset_member *m)
{
    mem_free_sized(m, zset_member_size(m));
}

static struct zset_member *pointer_get(const packed_pointer p)
{
    uint64_t word = 0;
    memcpy(&word, p, sizeof(packed_pointer));
    return (struct zset_member *)(uintptr_t)word;
}

static void pointer_set(packed_pointer p, const struct zset_member *m)
{
    uint64_t word = (uintptr_t)m;
    memcpy(p, &word, sizeof(packed_pointer));
}

/* ---- keys ---- */

static struct zset_key key_of(const struct zset_member *m)
{
    return (struct zset_key){.bits = zset_score_bits(m->score), .member = zset_member_bytes(m)};
}

static int key_compare(const struct zset_key *key, const struct zset_member *m)
{
    uint64_t bits = zset_score_bits(m->score);
    if (key->bits != bits) return key->bits < bits ? -1 : 1;
    return bytes_compare(key->member, zset_member_bytes(m));
}

/* Eight bytes of the member, from offset `at`, as a number; zeros behind its end. */
static uint64_t member_head(struct bytes_view member, size_t at)
{
    uint64_t head = 0;
    if (LIKELY(member.len >= at + sizeof(head))) {
        memcpy(&head, member.data + at, sizeof(head));
        return __builtin_bswap64(head);
    }
    for (size_t i = at; i < at + sizeof(head); i++)
        head = head << 8 | (i < member.len ? (unsigned char)member.data[i] : 0);
    return head;
}

/* Eight bytes of the whole key (score, then member), from offset `skip`. */
static uint64_t key_head(const struct zset_key *key, unsigned skip)
{
    if (skip >= 8) return member_head(key->member, skip - 8);
    return skip == 0 ? key->bits : key->bits << (8 * skip) | member_head(key->member, 0) >> (64 - 8 * skip);
}

/* The head in a leaf, four bytes; an inner node has all eight. */
static uint32_t key_leaf_head(const struct zset_key *key, unsigned skip)
{
    return (uint32_t)(key_head(key, skip) >> 32);
}

static uint32_t leaf_head_of(const struct zset_member *m, unsigned skip)
{
    struct zset_key key = key_of(m);
    return key_leaf_head(&key, skip);
}

static uint64_t inner_head_of(const struct zset_member *m, unsigned skip)
{
    struct zset_key key = key_of(m);
    return key_head(&key, skip);
}

/* The number of leading bytes that two keys have in common. */
static unsigned common_prefix(const struct zset_member *a, const struct zset_member *b)
{
    uint64_t differ = zset_score_bits(a->score) ^ zset_score_bits(b->score);
    if (differ != 0) return (unsigned)__builtin_clzll(differ) / 8;
    struct bytes_view x = zset_member_bytes(a), y = zset_member_bytes(b);
    size_t n = 0, shorter = x.len < y.len ? x.len : y.len;
    if (shorter > SKIP_MAX - 8) shorter = SKIP_MAX - 8;
    while (n < shorter && x.data[n] == y.data[n]) n++;
    return 8 + (unsigned)n;
}

/* Compares a key with the first `skip` bytes of a member's key; 0 if it begins with them. */
static int prefix_compare(const struct zset_key *key, const struct zset_member *m, unsigned skip)
{
    unsigned shift = skip < 8 ? 64 - 8 * skip : 0;
    uint64_t a = key->bits >> shift, b = zset_score_bits(m->score) >> shift;
    if (a != b) return a < b ? -1 : 1;
    if (skip <= 8) return 0;
    size_t n = skip - 8;
    int order = memcmp(key->member.data, zset_member_bytes(m).data, key->member.len < n ? key->member.len : n);
    return order != 0 ? order : -(key->member.len < n);
}

/* ---- searching in a node ---- */

/* The number of heads below `head`, without unpredictable branches. */
static unsigned leaf_heads_below(const uint32_t *heads, unsigned n, uint32_t head)
{
    const uint32_t *base = heads;
    if (n == 0) return 0;
    while (n > 1) {
        unsigned half = n / 2;
        base += half & -(unsigned)(base[half - 1] < head);
        n -= half;
    }
    return (unsigned)(base - heads) + (*base < head);
}

static unsigned inner_heads_below(const uint64_t *heads, unsigned n, uint64_t head)
{
    const uint64_t *base = heads;
    if (n == 0) return 0;
    while (n > 1) {
        unsigned half = n / 2;
        base += half & -(unsigned)(base[half - 1] < head);
        n -= half;
    }
    return (unsigned)(base - heads) + (*base < head);
}

/* Searches the members from `low` to `high`, whose heads equal the key's, for the first one not below the key (with
 * `after_equal`: above it). */
static unsigned search_ties(const packed_pointer *members, unsigned low, unsigned high, const struct zset_key *key,
                            bool after_equal)
{
    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        if (key_compare(key, pointer_get(members[mid])) >= !after_equal)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct zset_member *leaf_get(const struct zset_leaf *l, unsigned slot)
{
    return pointer_get(l->members[slot]);
}

/* Sets that grow at one end are common, so the ends are compared first. */
static unsigned leaf_find(const struct zset_leaf *l, const struct zset_key *key, bool after_equal)
{
    if (l->next == NULL && key_compare(key, leaf_get(l, l->count - 1u)) > 0) return l->count;
    if (l->prev == NULL && key_compare(key, leaf_get(l, 0)) < 0) return 0;
    uint32_t head = key_leaf_head(key, l->skip);
    unsigned low = leaf_heads_below(l->heads, l->count, head);
    if (low == l->count || l->heads[low] != head) return low;
    unsigned high = head == UINT32_MAX ? l->count : low + leaf_heads_below(l->heads + low, l->count - low, head + 1);
    return search_ties(l->members, low, high, key, after_equal);
}

static unsigned inner_find(const struct zset_inner *n, const struct zset_key *key)
{
    int side = n->skip == 0 ? 0 : prefix_compare(key, pointer_get(n->seps[0]), n->skip);
    unsigned seps = n->count - 1u;
    if (side != 0) return side < 0 ? 0 : seps;
    uint64_t head = key_head(key, n->skip);
    unsigned low = inner_heads_below(n->heads, seps, head);
    if (low == seps || n->heads[low] != head) return low;
    unsigned high = head == UINT64_MAX ? seps : low + inner_heads_below(n->heads + low, seps - low, head + 1);
    return search_ties(n->seps, low, high, key, true);
}

static void prefetch_node(const void *node)
{
    for (unsigned line = 0; line < 7; line++) prefetch((const char *)node + 64 * line);
}

static void descend(const struct zset_tree *t, const struct zset_key *key, struct zset_path *path)
{
    void *node = t->root;
    for (unsigned level = t->height; level-- > 0;) {
        struct zset_inner *n = node;
        path->steps[level].node = n;
        path->steps[level].at = inner_find(n, key);
        node = n->children[path->steps[level].at];
        prefetch_node(node);
    }
    path->leaf = node;
}

static void path_add(const struct zset_tree *t, const struct zset_path *path, uint64_t change)
{
    for (unsigned level = 0; level < t->height; level++)
        path->steps[level].node->counts[path->steps[level].at] += change;
}

/* ---- leaves ---- */

/* The length of the prefix common to all keys that can reach this leaf. */
static unsigned leaf_fence(const struct zset_leaf *l)
{
    if (l->prev == NULL || l->next == NULL) return 0;
    return common_prefix(leaf_get(l, 0), leaf_get(l->next, 0));
}

static void leaf_make_heads(struct zset_leaf *l, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to && i < from + PREFETCH_AHEAD; i++) prefetch(leaf_get(l, i));
    for (unsigned i = from; i < to; i++) {
        if (i + PREFETCH_AHEAD < to) prefetch(leaf_get(l, i + PREFETCH_AHEAD));
        l->heads[i] = leaf_head_of(leaf_get(l, i), l->skip);
    }
}

/* Lowers the skip to the fence after a neighbour's change. Only the heads from `from` to `to` were made with the old
 * skip. They shift, and the bytes that enter in front are the same for all of them, so only one member is read. */
static void leaf_lower_skip(struct zset_leaf *l, unsigned from, unsigned to)
{
    unsigned fence = leaf_fence(l);
    if (fence >= l->skip) return;
    unsigned bytes = l->skip - fence;
    l->skip = (uint16_t)fence;
    if (from == to) return;
    uint32_t front = leaf_head_of(leaf_get(l, from), fence);
    if (bytes < 4) front &= ~(UINT32_MAX >> (8 * bytes));
    for (unsigned i = from; i < to; i++) l->heads[i] = bytes < 4 ? front | l->heads[i] >> (8 * bytes) : front;
}

/* Raises the skip to the maximum; worth the work after a split. */
static void leaf_raise_skip(struct zset_leaf *l)
{
    unsigned fence = leaf_fence(l);
    if (fence <= l->skip) return;
    l->skip = (uint16_t)fence;
    leaf_make_heads(l, 0, l->count);
}

static void leaf_open(struct zset_leaf *l, unsigned slot, unsigned n)
{
    unsigned tail = l->count - slot;
    memmove(l->heads + slot + n, l->heads + slot, tail * sizeof(l->heads[0]));
    memmove(l->members + slot + n, l->members + slot, tail * sizeof(l->members[0]));
    l->count = (uint16_t)(l->count + n);
}

static void leaf_cut(struct zset_leaf *l, unsigned slot, unsigned n)
{
    unsigned tail = l->count - slot - n;
    memmove(l->heads + slot, l->heads + slot + n, tail * sizeof(l->heads[0]));
    memmove(l->members + slot, l->members + slot + n, tail * sizeof(l->members[0]));
    l->count = (uint16_t)(l->count - n);
}

static void leaf_put(struct zset_leaf *l, unsigned slot, const struct zset_member *m)
{
    leaf_open(l, slot, 1);
    pointer_set(l->members[slot], m);
    l->heads[slot] = leaf_head_of(m, l->skip);
}

/* Copies n slots from one leaf to another, with unchanged heads. */
static void leaf_copy(struct zset_leaf *to, unsigned to_slot, const struct zset_leaf *from, unsigned from_slot,
                      unsigned n)
{
    memcpy(to->heads + to_slot, from->heads + from_slot, n * sizeof(to->heads[0]));
    memcpy(to->members + to_slot, from->members + from_slot, n * sizeof(to->members[0]));
}

static struct zset_leaf *leaf_new(struct zset_tree *t, struct zset_leaf *prev)
{
    struct zset_leaf *l = mem_alloc(sizeof(*l));
    l->count = 0;
    l->skip = 0;
    l->prev = prev;
    l->next = prev != NULL ? prev->next : NULL;
    *(l->prev != NULL ? &l->prev->next : &t->first) = l;
    *(l->next != NULL ? &l->next->prev : &t->last) = l;
    t->leaves++;
    return l;
}

static void leaf_free(struct zset_tree *t, struct zset_leaf *l)
{
    *(l->prev != NULL ? &l->prev->next : &t->first) = l->next;
    *(l->next != NULL ? &l->next->prev : &t->last) = l->prev;
    t->leaves--;
    mem_free_sized(l, sizeof(*l));
}

/* Moves the last n members of `a` to the front of `b`, its right neighbour. */
static void leaf_move_up(struct zset_leaf *a, struct zset_leaf *b, unsigned n)
{
    unsigned old_count = b->count, from_skip = a->skip;
    leaf_open(b, 0, n);
    leaf_copy(b, 0, a, a->count - n, n);
    a->count = (uint16_t)(a->count - n);
    if (old_count == 0)
        b->skip = (uint16_t)leaf_fence(b);
    else
        leaf_lower_skip(b, n, b->count);
    if (b->skip != from_skip) leaf_make_heads(b, 0, n);
}

/* Moves the first n members of `b` to the end of `a`, its left neighbour. Frees b when it is empty. */
static void leaf_move_down(struct zset_tree *t, struct zset_leaf *a, struct zset_leaf *b, unsigned n)
{
    unsigned old_count = a->count, from_skip = b->skip;
    leaf_copy(a, old_count, b, 0, n);
    a->count = (uint16_t)(a->count + n);
    leaf_cut(b, 0, n);
    if (b->count == 0) leaf_free(t, b);
    if (old_count == 0)
        a->skip = (uint16_t)leaf_fence(a);
    else
        leaf_lower_skip(a, 0, old_count);
    if (a->skip != from_skip) leaf_make_heads(a, old_count, a->count);
}

/* ---- inner nodes ---- */

static void inner_make_heads(struct zset_inner *n)
{
    if (n->count < 2) return;
    n->skip = (uint16_t)common_prefix(pointer_get(n->seps[0]), pointer_get(n->seps[n->count - 2]));
    for (unsigned i = 0; i + 1 < n->count; i++) n->heads[i] = inner_head_of(pointer_get(n->seps[i]), n->skip);
}

/* Call after a separator was written. A new first or last separator may shorten the common prefix. */
static void inner_fit_sep(struct zset_inner *n, unsigned i)
{
    struct zset_member *first = pointer_get(n->seps[0]), *last = pointer_get(n->seps[n->count - 2]);
    if ((i == 0 || i + 2u == n->count) && common_prefix(first, last) < n->skip)
        inner_make_heads(n);
    else
        n->heads[i] = inner_head_of(pointer_get(n->seps[i]), n->skip);
}

static void inner_set_sep(struct zset_inner *n, unsigned i, const struct zset_member *m)
{
    pointer_set(n->seps[i], m);
    inner_fit_sep(n, i);
}

static struct zset_inner *inner_new(struct zset_tree *t)
{
    struct zset_inner *n = mem_alloc(sizeof(*n));
    n->count = 0;
    n->skip = 0;
    t->inners++;
    return n;
}

static void inner_free(struct zset_tree *t, struct zset_inner *n)
{
    t->inners--;
    mem_free_sized(n, sizeof(*n));
}

/* Copies n children with their counts. */
static void inner_copy_children(struct zset_inner *to, unsigned to_at, const struct zset_inner *from, unsigned from_at,
                                unsigned n)
{
    memmove(to->children + to_at, from->children + from_at, n * sizeof(to->children[0]));
    memmove(to->counts + to_at, from->counts + from_at, n * sizeof(to->counts[0]));
}

static void inner_copy_seps(struct zset_inner *to, unsigned to_at, const struct zset_inner *from, unsigned from_at,
                            unsigned n)
{
    memmove(to->heads + to_at, from->heads + from_at, n * sizeof(to->heads[0]));
    memmove(to->seps + to_at, from->seps + from_at, n * sizeof(to->seps[0]));
}

/* Inserts a child and the separator before it; at > 0. */
static void inner_put(struct zset_inner *n, unsigned at, void *child, const struct zset_member *sep, uint64_t count)
{
    inner_copy_children(n, at + 1, n, at, n->count - at);
    inner_copy_seps(n, at, n, at - 1, n->count - at);
    n->children[at] = child;
    n->counts[at] = count;
    n->count++;
    inner_set_sep(n, at - 1, sep);
}

/* Removes a child and the separator before it. */
static void inner_cut(struct zset_inner *n, unsigned at)
{
    ASSERT(at > 0);
    inner_copy_children(n, at, n, at + 1, n->count - at - 1);
    inner_copy_seps(n, at - 1, n, at, n->count - at - 1);
    n->count--;
}

static uint64_t inner_total(const struct zset_inner *n)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < n->count; i++) total += n->counts[i];
    return total;
}

/* Move n children between two neighbours; seps[i] of the parent is between them. */
static void inner_move_up(struct zset_inner *a, struct zset_inner *b, struct zset_inner *parent, unsigned i, unsigned n)
{
    unsigned keep = a->count - n;
    inner_copy_children(b, n, b, 0, b->count);
    inner_copy_children(b, 0, a, keep, n);
    if (b->count > 0) {
        inner_copy_seps(b, n, b, 0, b->count - 1u);
        memcpy(b->seps[n - 1], parent->seps[i], sizeof(packed_pointer));
    }
    inner_copy_seps(b, 0, a, keep, n - 1);
    memcpy(parent->seps[i], a->seps[keep - 1], sizeof(packed_pointer));
    a->count = (uint16_t)keep;
    b->count = (uint16_t)(b->count + n);
}

static void inner_move_down(struct zset_inner *a, struct zset_inner *b, struct zset_inner *parent, unsigned i,
                            unsigned n)
{
    inner_copy_children(a, a->count, b, 0, n);
    memcpy(a->seps[a->count - 1], parent->seps[i], sizeof(packed_pointer));
    inner_copy_seps(a, a->count, b, 0, n - 1);
    a->count = (uint16_t)(a->count + n);
    b->count = (uint16_t)(b->count - n);
    if (b->count == 0) return;
    memcpy(parent->seps[i], b->seps[n - 1], sizeof(packed_pointer));
    inner_copy_children(b, 0, b, n, b->count);
    inner_copy_seps(b, 0, b, n, b->count - 1u);
}

/* ---- insertion ---- */

static void grow_root(struct zset_tree *t, void *right, const struct zset_member *sep, uint64_t right_count)
{
    struct zset_inner *n = inner_new(t);
    n->children[0] = t->root;
    n->counts[0] = t->count - right_count;
    n->count = 1;
    inner_put(n, 1, right, sep, right_count);
    inner_make_heads(n);
    t->root = n;
    t->height++;
    ASSERT(t->height < LEVELS_MAX);
}

/* How many children stay in a full node when a child is added behind `at`. */
static unsigned inner_split_point(unsigned at)
{
    if (at + 1 == INNER_CAP) return INNER_CAP - INNER_MIN;
    return at == 0 ? INNER_MIN : INNER_CAP / 2;
}

/* Links `right`, which was split off to the right of the path's node on the level below. */
static void insert_up(struct zset_tree *t, struct zset_path *path, void *right, struct zset_member *sep,
                      uint64_t right_count)
{
    for (unsigned level = 0; level < t->height; level++) {
        struct zset_inner *n = path->steps[level].node;
        unsigned at = path->steps[level].at;
        n->counts[at] -= right_count;
        if (n->count < INNER_CAP) {
            inner_put(n, at + 1, right, sep, right_count);
            return;
        }
        unsigned keep = inner_split_point(at);
        struct zset_inner *half = inner_new(t);
        struct zset_member *up = pointer_get(n->seps[keep - 1]);
        half->count = (uint16_t)(n->count - keep);
        inner_copy_children(half, 0, n, keep, half->count);
        inner_copy_seps(half, 0, n, keep, half->count - 1u);
        n->count = (uint16_t)keep;
        inner_make_heads(n);
        inner_make_heads(half);
        if (at + 1 <= keep)
            inner_put(n, at + 1, right, sep, right_count);
        else
            inner_put(half, at + 1 - keep, right, sep, right_count);
        right = half;
        sep = up;
        right_count = inner_total(half);
    }
    grow_root(t, right, sep, right_count);
}

/* A full leaf gives members to a neighbour with room instead of splitting, which keeps leaves full. The counts on
 * the path already include the new member. */
static bool insert_sharing(struct zset_tree *t, struct zset_path *path, unsigned slot, const struct zset_member *m)
{
    struct zset_inner *parent = path->steps[0].node;
    struct zset_leaf *l = path->leaf;
    unsigned at = path->steps[0].at;
    if (t->height == 0) return false;
    uint64_t left = at > 0 ? parent->counts[at - 1] : UINT64_MAX;
    uint64_t right = at + 1u < parent->count ? parent->counts[at + 1] : UINT64_MAX;
    if (left > LEAF_SHARE && right > LEAF_SHARE) return false;
    if (right <= left) {
        struct zset_leaf *next = l->next;
        unsigned n = (LEAF_CAP - (unsigned)right) / 2;
        leaf_move_up(l, next, n);
        bool here = slot <= l->count;
        leaf_put(here ? l : next, here ? slot : slot - l->count, m);
        parent->counts[at] = l->count;
        parent->counts[at + 1] = next->count;
        inner_set_sep(parent, at, leaf_get(next, 0));
    } else {
        struct zset_leaf *prev = l->prev;
        unsigned n = (LEAF_CAP - (unsigned)left) / 2;
        leaf_move_down(t, prev, l, n);
        bool there = slot <= n;
        leaf_put(there ? prev : l, there ? prev->count - n + slot : slot - n, m);
        parent->counts[at - 1] = prev->count;
        parent->counts[at] = l->count;
        inner_set_sep(parent, at - 1, leaf_get(l, 0));
    }
    return true;
}

static void insert_splitting(struct zset_tree *t, struct zset_path *path, unsigned slot, const struct zset_member *m)
{
    struct zset_leaf *l = path->leaf;
    bool at_end = l->next == NULL && slot == l->count, at_start = l->prev == NULL && slot == 0;
    unsigned keep = at_end ? l->count : at_start ? 0 : l->count / 2;
    struct zset_leaf *right = leaf_new(t, l);
    if (at_end) {
        leaf_put(right, 0, m);
    } else {
        leaf_move_up(l, right, l->count - keep);
        bool here = slot <= keep;
        leaf_put(here ? l : right, here ? slot : slot - keep, m);
    }
    leaf_raise_skip(l);
    insert_up(t, path, right, leaf_get(right, 0), right->count);
}

void zset_tree_insert(struct zset_tree *t, struct zset_member *m)
{
    struct zset_path path;
    struct zset_key key = key_of(m);
    if (t->root == NULL) {
        t->root = leaf_new(t, NULL);
        leaf_put(t->root, 0, m);
        t->count = 1;
        return;
    }
    descend(t, &key, &path);
    struct zset_leaf *l = path.leaf;
    unsigned slot = leaf_find(l, &key, false);
    t->count++;
    path_add(t, &path, 1);
    if (l->count < LEAF_CAP) {
        leaf_put(l, slot, m);
        return;
    }
    bool at_edge = (l->next == NULL && slot == l->count) || (l->prev == NULL && slot == 0);
    if (!at_edge && insert_sharing(t, &path, slot, m)) return;
    insert_splitting(t, &path, slot, m);
}

/* ---- removal ---- */

static void rebalance_inner(struct zset_tree *t, struct zset_path *path, unsigned level);

/* The leaf of the path has a new first member: updates the separator for it, and the skip of the previous leaf,
 * whose range of keys ends there. */
static void first_changed(const struct zset_tree *t, struct zset_path *path)
{
    struct zset_leaf *l = path->leaf;
    for (unsigned level = 0; level < t->height; level++) {
        if (path->steps[level].at == 0) continue;
        inner_set_sep(path->steps[level].node, path->steps[level].at - 1, leaf_get(l, 0));
        break;
    }
    if (l->prev != NULL) leaf_lower_skip(l->prev, 0, l->prev->count);
}

/* Merges two inner neighbours, children i and i + 1 of the parent, or balances them. */
static void join_inners(struct zset_tree *t, struct zset_path *path, unsigned level, unsigned i)
{
    struct zset_inner *parent = path->steps[level].node;
    struct zset_inner *a = parent->children[i], *b = parent->children[i + 1];
    unsigned total = a->count + b->count;
    if (total <= INNER_JOIN) {
        inner_move_down(a, b, parent, i, b->count);
        parent->counts[i] += parent->counts[i + 1];
        inner_make_heads(a);
        inner_cut(parent, i + 1);
        inner_free(t, b);
        rebalance_inner(t, path, level);
        return;
    }
    if (a->count < b->count)
        inner_move_down(a, b, parent, i, b->count - total / 2);
    else
        inner_move_up(a, b, parent, i, a->count - total / 2);
    inner_make_heads(a);
    inner_make_heads(b);
    parent->counts[i] = inner_total(a);
    parent->counts[i + 1] = inner_total(b);
    inner_fit_sep(parent, i);
}

/* Call after the node on this level has lost a child. */
static void rebalance_inner(struct zset_tree *t, struct zset_path *path, unsigned level)
{
    struct zset_inner *n = path->steps[level].node;
    if (level + 1 == t->height) {
        if (n->count > 1) return;
        t->root = n->children[0];
        t->height--;
        inner_free(t, n);
        return;
    }
    if (n->count >= INNER_MIN) return;
    unsigned at = path->steps[level + 1].at;
    join_inners(t, path, level + 1, at > 0 ? at - 1 : at);
}

/* The leaf is empty: moves the members of its right sibling into it, or frees it if there is no such sibling. */
static void drop_empty_leaf(struct zset_tree *t, struct zset_path *path)
{
    struct zset_inner *parent = path->steps[0].node;
    unsigned at = path->steps[0].at;
    struct zset_leaf *l = path->leaf;
    if (at + 1u < parent->count) {
        struct zset_leaf *next = l->next;
        parent->counts[at] = parent->counts[at + 1];
        inner_cut(parent, at + 1);
        leaf_move_down(t, l, next, next->count);
        first_changed(t, path);
    } else {
        struct zset_leaf *prev = l->prev;
        inner_cut(parent, at);
        leaf_free(t, l);
        leaf_lower_skip(prev, 0, prev->count);
    }
    rebalance_inner(t, path, 0);
}

/* Merges leaves i and i + 1 of the parent, or balances them. */
static void join_leaves(struct zset_tree *t, struct zset_path *path, unsigned i)
{
    struct zset_inner *parent = path->steps[0].node;
    struct zset_leaf *a = parent->children[i], *b = parent->children[i + 1];
    unsigned total = a->count + b->count;
    if (total <= LEAF_JOIN) {
        parent->counts[i] = total;
        inner_cut(parent, i + 1);
        leaf_move_down(t, a, b, b->count);
        rebalance_inner(t, path, 0);
        return;
    }
    if (a->count < b->count)
        leaf_move_down(t, a, b, b->count - total / 2);
    else
        leaf_move_up(a, b, a->count - total / 2);
    parent->counts[i] = a->count;
    parent->counts[i + 1] = b->count;
    inner_set_sep(parent, i, leaf_get(b, 0));
}

static void rebalance_leaf(struct zset_tree *t, struct zset_path *path)
{
    struct zset_inner *parent = path->steps[0].node;
    unsigned at = path->steps[0].at;
    bool left = at > 0 && (at + 1u == parent->count || parent->counts[at - 1] < parent->counts[at + 1]);
    join_leaves(t, path, left ? at - 1 : at);
}

static void remove_at(struct zset_tree *t, struct zset_path *path, unsigned slot, unsigned n)
{
    struct zset_leaf *l = path->leaf;
    leaf_cut(l, slot, n);
    t->count -= n;
    path_add(t, path, (uint64_t)0 - n);
    if (t->height == 0) {
        if (l->count == 0) zset_tree_release(t);
        return;
    }
    if (l->count == 0) {
        drop_empty_leaf(t, path);
        return;
    }
    if (slot == 0) first_changed(t, path);
    if (l->count < LEAF_MIN) rebalance_leaf(t, path);
}

static unsigned leaf_slot_of(const struct zset_leaf *l, const struct zset_member *m)
{
    unsigned slot = leaf_heads_below(l->heads, l->count, leaf_head_of(m, l->skip));
    while (slot < l->count && leaf_get(l, slot) != m) slot++;
    ASSERT(slot < l->count);
    return slot;
}

void zset_tree_remove(struct zset_tree *t, struct zset_member *m)
{
    struct zset_path path;
    struct zset_key key = key_of(m);
    descend(t, &key, &path);
    remove_at(t, &path, leaf_slot_of(path.leaf, m), 1);
}

/* The common case, decided without reading members: the new head is strictly between those of the neighbours, and
 * the bytes before `skip` do not change. */
static bool fits_between_heads(const struct zset_leaf *l, unsigned slot, uint64_t old_bits, const struct zset_key *key)
{
    if (slot == 0 || slot + 1u >= l->count || l->skip >= 8) return false;
    if (l->skip > 0 && (old_bits ^ key->bits) >> (64 - 8 * l->skip) != 0) return false;
    uint32_t head = key_leaf_head(key, l->skip);
    return l->heads[slot - 1] < head && head < l->heads[slot + 1];
}

/* True if the member in this slot may get the new key in place: it stays between its neighbours and within the
 * leaf's range of keys. The first member of a leaf is also a separator, so it stays only in the first leaf. */
static bool fits_in_place(const struct zset_leaf *l, unsigned slot, const struct zset_key *key)
{
    if (slot > 0 ? key_compare(key, leaf_get(l, slot - 1)) <= 0 : l->prev != NULL) return false;
    if (slot + 1u < l->count) return key_compare(key, leaf_get(l, slot + 1)) < 0;
    return l->next == NULL || key_compare(key, leaf_get(l->next, 0)) < 0;
}

void zset_tree_update(struct zset_tree *t, struct zset_member *m, double score)
{
    struct zset_path path;
    struct zset_key key = key_of(m);
    descend(t, &key, &path);
    unsigned slot = leaf_slot_of(path.leaf, m);
    uint64_t old_bits = key.bits;
    key.bits = zset_score_bits(score);
    if (fits_between_heads(path.leaf, slot, old_bits, &key) || fits_in_place(path.leaf, slot, &key)) {
        m->score = score;
        path.leaf->heads[slot] = key_leaf_head(&key, path.leaf->skip);
        return;
    }
    remove_at(t, &path, slot, 1);
    m->score = score;
    zset_tree_insert(t, m);
}

/* ---- ranks ---- */

static void descend_to_rank(const struct zset_tree *t, size_t rank, struct zset_path *path, unsigned *slot)
{
    ASSERT(rank < t->count);
    void *node = t->root;
    for (unsigned level = t->height; level-- > 0;) {
        struct zset_inner *n = node;
        unsigned at = 0;
        while (rank >= n->counts[at]) rank -= n->counts[at++];
        path->steps[level].node = n;
        path->steps[level].at = at;
        node = n->children[at];
    }
    path->leaf = node;
    *slot = (unsigned)rank;
}

size_t zset_tree_remove_run(struct zset_tree *t, size_t rank, size_t max, void (*fn)(void *ctx, struct zset_member *m),
                            void *ctx)
{
    struct zset_path path;
    struct zset_member *gone[LEAF_CAP];
    unsigned slot;
    descend_to_rank(t, rank, &path, &slot);
    unsigned n = path.leaf->count - slot;
    if (n > max) n = (unsigned)max;
    for (unsigned i = 0; i < n; i++) gone[i] = leaf_get(path.leaf, slot + i);
    remove_at(t, &path, slot, n);
    for (unsigned i = 0; i < n; i++) fn(ctx, gone[i]);
    return n;
}

size_t zset_tree_rank(const struct zset_tree *t, const struct zset_key *key, bool after_equal)
{
    struct zset_path path;
    if (t->root == NULL) return 0;
    descend(t, key, &path);
    size_t rank = leaf_find(path.leaf, key, after_equal);
    for (unsigned level = 0; level < t->height; level++) {
        const struct zset_inner *n = path.steps[level].node;
        for (unsigned i = 0; i < path.steps[level].at; i++) rank += n->counts[i];
    }
    return rank;
}

struct zset_pos zset_tree_at(const struct zset_tree *t, size_t rank)
{
    struct zset_path path;
    unsigned slot;
    descend_to_rank(t, rank, &path, &slot);
    return (struct zset_pos){.leaf = path.leaf, .slot = slot};
}

struct zset_pos zset_tree_first(const struct zset_tree *t)
{
    return (struct zset_pos){.leaf = t->first, .slot = 0};
}

struct zset_member *zset_tree_get(struct zset_pos pos)
{
    return leaf_get(pos.leaf, pos.slot);
}

void zset_tree_next(struct zset_pos *pos)
{
    if (++pos->slot < pos->leaf->count) {
        if (pos->slot + PREFETCH_AHEAD < pos->leaf->count) prefetch(leaf_get(pos->leaf, pos->slot + PREFETCH_AHEAD));
        return;
    }
    pos->leaf = pos->leaf->next;
    pos->slot = 0;
}

void zset_tree_prev(struct zset_pos *pos)
{
    if (pos->slot-- > 0) return;
    pos->leaf = pos->leaf->prev;
    pos->slot = pos->leaf != NULL ? pos->leaf->count - 1u : 0;
}

/* ---- whole tree ---- */

void zset_tree_init(struct zset_tree *t)
{
    *t = (struct zset_tree){.root = NULL};
}

static void free_inners(struct zset_tree *t, struct zset_inner *n, unsigned height)
{
    for (unsigned i = 0; height > 1 && i < n->count; i++) free_inners(t, n->children[i], height - 1);
    inner_free(t, n);
}

void zset_tree_release(struct zset_tree *t)
{
    if (t->height > 0) free_inners(t, t->root, t->height);
    while (t->first != NULL) leaf_free(t, t->first);
    ASSERT(t->leaves == 0 && t->inners == 0);
    zset_tree_init(t);
}

size_t zset_tree_memory(const struct zset_tree *t)
{
    return t->leaves * mem_good_size(sizeof(struct zset_leaf)) + t->inners * mem_good_size(sizeof(struct zset_inner));
}

/* ---- checks ---- */

static void check_order(const packed_pointer *members, unsigned n, unsigned skip)
{
    for (unsigned i = 0; i < n; i++) {
        struct zset_key key = key_of(pointer_get(members[i]));
        ASSERT(common_prefix(pointer_get(members[0]), pointer_get(members[i])) >= skip);
        ASSERT(i == 0 || key_compare(&key, pointer_get(members[i - 1])) > 0);
    }
}

static void check_leaf(const struct zset_tree *t, const struct zset_leaf *l)
{
    ASSERT(l->count <= LEAF_CAP && l->count > 0);
    ASSERT(l->count >= LEAF_MIN || l->prev == NULL || l->next == NULL);
    ASSERT(l->skip <= leaf_fence(l));
    ASSERT(l->prev != NULL ? l->prev->next == l : t->first == l);
    ASSERT(l->next != NULL ? l->next->prev == l : t->last == l);
    check_order(l->members, l->count, l->skip);
    for (unsigned i = 0; i < l->count; i++) ASSERT(l->heads[i] == leaf_head_of(leaf_get(l, i), l->skip));
    struct zset_key key = key_of(leaf_get(l, 0));
    ASSERT(l->prev == NULL || key_compare(&key, leaf_get(l->prev, l->prev->count - 1u)) > 0);
}

/* Returns the number of members below the node; *least is the least of them. */
static size_t check_node(const struct zset_tree *t, const void *node, unsigned height, size_t *nodes,
                         struct zset_member **least)
{
    size_t total = 0;
    ++*nodes;
    if (height == 0) {
        const struct zset_leaf *l = node;
        check_leaf(t, l);
        *least = leaf_get(l, 0);
        return l->count;
    }
    const struct zset_inner *n = node;
    ASSERT(n->count <= INNER_CAP && n->count >= (height == t->height ? 2 : INNER_MIN));
    for (unsigned i = 0; i < n->count; i++) {
        struct zset_member *below;
        size_t count = check_node(t, n->children[i], height - 1, nodes, &below);
        ASSERT(count == n->counts[i]);
        ASSERT(i == 0 || pointer_get(n->seps[i - 1]) == below);
        if (i == 0) *least = below;
        total += count;
    }
    check_order(n->seps, n->count - 1u, n->skip);
    for (unsigned i = 0; i + 1u < n->count; i++) ASSERT(n->heads[i] == inner_head_of(pointer_get(n->seps[i]), n->skip));
    return total;
}

void zset_tree_check(const struct zset_tree *t)
{
    struct zset_member *least;
    size_t nodes = 0;
    ASSERT((t->root == NULL) == (t->count == 0));
    if (t->root != NULL) ASSERT(check_node(t, t->root, t->height, &nodes, &least) == t->count);
    ASSERT(nodes == t->leaves + t->inners);
}

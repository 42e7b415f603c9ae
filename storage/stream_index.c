#include "storage/stream_index.h"

#include "storage/base/assert.h"
#include "storage/base/memory.h"

enum {
    NODE_CAP = 31,                /* makes a node 768 bytes, which is a size class */
    MERGE_BELOW = NODE_CAP / 4,   /* a child with fewer slots may merge with a neighbour */
    MERGE_INTO = NODE_CAP * 3 / 4 /* if together they have no more than this */
};

struct slot {
    struct stream_key key;
    void *to; /* the value, or a child whose least key is `key` */
};

/* Inner nodes use the same struct; neighbours are linked on every level. */
struct stream_leaf {
    struct stream_leaf *prev, *next;
    uint16_t count, cap;
    struct slot slots[];
};

_Static_assert(sizeof(struct stream_leaf) + NODE_CAP * sizeof(struct slot) == 768, "see NODE_CAP");

/* ---- nodes ---- */

static size_t node_size(unsigned cap)
{
    return sizeof(struct stream_leaf) + cap * sizeof(struct slot);
}

static struct stream_leaf *node_new(struct stream_index *x, unsigned cap)
{
    struct stream_leaf *n = mem_alloc(node_size(cap));
    *n = (struct stream_leaf){.cap = (uint16_t)cap};
    x->nodes++;
    return n;
}

static void node_free(struct stream_index *x, struct stream_leaf *n)
{
    if (n->prev != NULL) n->prev->next = n->next;
    if (n->next != NULL) n->next->prev = n->prev;
    mem_free_sized(n, node_size(n->cap));
    x->nodes--;
}

static void link_after(struct stream_leaf *n, struct stream_leaf *right)
{
    right->prev = n;
    right->next = n->next;
    if (n->next != NULL) n->next->prev = right;
    n->next = right;
}

static void put_slot(struct stream_leaf *n, unsigned i, const struct slot *s)
{
    memmove(&n->slots[i + 1], &n->slots[i], (n->count - i) * sizeof(*s));
    n->slots[i] = *s;
    n->count++;
}

static void take_slot(struct stream_leaf *n, unsigned i)
{
    n->count--;
    memmove(&n->slots[i], &n->slots[i + 1], (n->count - i) * sizeof(n->slots[0]));
}

static int compare(const struct stream_index *x, const struct stream_key *a, const struct stream_key *b)
{
    return x->by_name ? bytes_compare(a->name, b->name) : stream_id_compare(a->id, b->id);
}

/* Returns the number of slots with a key not above this one. */
static unsigned slots_up_to(const struct stream_index *x, const struct stream_leaf *n, const struct stream_key *key)
{
    unsigned low = 0, high = n->count;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (compare(x, &n->slots[mid].key, key) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* ---- inserting ---- */

/* Splits a full node and returns the new one, to its right. If the insert is at the end, the old node stays full. */
static struct stream_leaf *split(struct stream_index *x, struct stream_leaf *n, unsigned at)
{
    struct stream_leaf *right = node_new(x, NODE_CAP);
    unsigned keep = at == n->count ? n->count : n->count / 2u;
    right->count = (uint16_t)(n->count - keep);
    memcpy(right->slots, &n->slots[keep], right->count * sizeof(n->slots[0]));
    n->count = (uint16_t)keep;
    link_after(n, right);
    return right;
}

/* Inserts a slot and sets *pos to its position. Returns the node that was added to the right of n, or NULL. */
static struct stream_leaf *place(struct stream_index *x, struct stream_leaf *n, unsigned at, const struct slot *s,
                                 struct stream_pos *pos)
{
    struct stream_leaf *right = NULL;
    if (n->count == NODE_CAP) {
        right = split(x, n, at);
        if (at > n->count || right->count == 0) {
            at -= n->count;
            n = right;
        }
    }
    put_slot(n, at, s);
    *pos = (struct stream_pos){n, at};
    return right;
}

static struct stream_leaf *insert_below(struct stream_index *x, struct stream_leaf *n, unsigned height,
                                        const struct slot *s, struct stream_pos *pos)
{
    struct stream_pos inner;
    unsigned i = slots_up_to(x, n, &s->key);
    if (height == 0) return place(x, n, i, s, pos);
    if (i > 0) i--;
    struct stream_leaf *child = n->slots[i].to, *right = insert_below(x, child, height - 1, s, pos);
    n->slots[i].key = child->slots[0].key;
    if (right == NULL) return NULL;
    return place(x, n, i + 1, &(struct slot){right->slots[0].key, right}, &inner);
}

static void add_level(struct stream_index *x, struct stream_leaf *right)
{
    struct stream_leaf *root = node_new(x, NODE_CAP), *left = x->root;
    root->slots[0] = (struct slot){left->slots[0].key, left};
    root->slots[1] = (struct slot){right->slots[0].key, right};
    root->count = 2;
    x->root = root;
    ASSERT(x->height < 100);
    x->height++;
}

/* Doubles the capacity of a full root that is the only leaf. */
static void make_room(struct stream_index *x)
{
    struct stream_leaf *root = x->root;
    if (root == NULL) x->root = node_new(x, 1);
    if (root == NULL || x->height > 0 || root->count < root->cap || root->cap == NODE_CAP) return;
    unsigned cap = root->cap * 2u < NODE_CAP ? root->cap * 2u : NODE_CAP;
    x->root = root = mem_realloc(root, node_size(cap));
    root->cap = (uint16_t)cap;
}

struct stream_pos stream_index_insert(struct stream_index *x, struct stream_key key, void *value)
{
    struct stream_pos pos;
    ASSERT(value != NULL);
    make_room(x);
    struct stream_leaf *right = insert_below(x, x->root, x->height, &(struct slot){key, value}, &pos);
    if (right != NULL) add_level(x, right);
    x->count++;
    x->changes++;
    return pos;
}

/* ---- removing ---- */

/* Merges child i and the next one if they are small enough. */
static void merge_with_next(struct stream_index *x, struct stream_leaf *n, unsigned i)
{
    struct stream_leaf *left = n->slots[i].to, *right = n->slots[i + 1].to;
    if (left->count + right->count > MERGE_INTO) return;
    memcpy(&left->slots[left->count], right->slots, right->count * sizeof(right->slots[0]));
    left->count = (uint16_t)(left->count + right->count);
    node_free(x, right);
    take_slot(n, i + 1);
}

/* Call after a removal below child i. */
static void tidy_child(struct stream_index *x, struct stream_leaf *n, unsigned i)
{
    struct stream_leaf *child = n->slots[i].to;
    if (child->count == 0) {
        node_free(x, child);
        take_slot(n, i);
        return;
    }
    n->slots[i].key = child->slots[0].key;
    if (child->count >= MERGE_BELOW || n->count == 1) return;
    merge_with_next(x, n, i + 1 < n->count ? i : i - 1);
}

static void *remove_below(struct stream_index *x, struct stream_leaf *n, unsigned height, const struct stream_key *key)
{
    unsigned i = slots_up_to(x, n, key);
    if (i == 0) return NULL;
    void *to = n->slots[--i].to;
    if (height > 0) {
        void *value = remove_below(x, to, height - 1, key);
        if (value != NULL) tidy_child(x, n, i);
        return value;
    }
    if (compare(x, &n->slots[i].key, key) != 0) return NULL;
    take_slot(n, i);
    return to;
}

static void tidy_root(struct stream_index *x)
{
    struct stream_leaf *root = x->root;
    while (x->height > 0 && root->count == 1) {
        x->root = root->slots[0].to;
        x->height--;
        node_free(x, root);
        root = x->root;
    }
    if (root->count == 0) {
        node_free(x, root);
        x->root = NULL;
    } else if (x->height == 0 && root->count <= root->cap / 4) {
        unsigned cap = root->count * 2u;
        x->root = root = mem_realloc(root, node_size(cap));
        root->cap = (uint16_t)cap;
    }
}

void *stream_index_remove(struct stream_index *x, struct stream_key key)
{
    void *value = x->root != NULL ? remove_below(x, x->root, x->height, &key) : NULL;
    if (value == NULL) return NULL;
    tidy_root(x);
    x->count--;
    x->changes++;
    return value;
}

/* ---- making and ending ---- */

void stream_index_init(struct stream_index *x, bool by_name)
{
    *x = (struct stream_index){.by_name = by_name};
}

static void release_below(struct stream_leaf *n, unsigned height, void (*free_value)(void *value))
{
    for (unsigned i = 0; i < n->count; i++) {
        if (height > 0)
            release_below(n->slots[i].to, height - 1, free_value);
        else if (free_value != NULL)
            free_value(n->slots[i].to);
    }
    mem_free_sized(n, node_size(n->cap));
}

void stream_index_release(struct stream_index *x, void (*free_value)(void *value))
{
    if (x->root != NULL) release_below(x->root, x->height, free_value);
    stream_index_init(x, x->by_name);
}

size_t stream_index_memory(const struct stream_index *x)
{
    const struct stream_leaf *root = x->root;
    if (root == NULL) return 0;
    return x->height == 0 ? mem_good_size(node_size(root->cap)) : x->nodes * mem_good_size(node_size(NODE_CAP));
}

/* ---- looking up ---- */

static struct stream_pos pos_at(const struct stream_leaf *n, unsigned slot)
{
    return (struct stream_pos){(struct stream_leaf *)n, slot};
}

struct stream_pos stream_index_floor(const struct stream_index *x, struct stream_key key)
{
    const struct stream_leaf *n = x->root;
    for (unsigned height = x->height; n != NULL; height--) {
        unsigned i = slots_up_to(x, n, &key);
        if (i == 0) break;
        if (height == 0) return pos_at(n, i - 1);
        n = n->slots[i - 1].to;
    }
    return pos_at(NULL, 0);
}

struct stream_pos stream_index_ceiling(const struct stream_index *x, struct stream_key key)
{
    struct stream_pos pos = stream_index_floor(x, key);
    if (pos.leaf == NULL) return stream_index_first(x);
    if (compare(x, &pos.leaf->slots[pos.slot].key, &key) != 0) stream_pos_next(&pos);
    return pos;
}

void *stream_index_find(const struct stream_index *x, struct stream_key key)
{
    struct stream_pos pos = stream_index_floor(x, key);
    if (pos.leaf == NULL || compare(x, &pos.leaf->slots[pos.slot].key, &key) != 0) return NULL;
    return stream_pos_value(pos);
}

struct stream_pos stream_index_first(const struct stream_index *x)
{
    const struct stream_leaf *n = x->root;
    for (unsigned height = x->height; height > 0; height--) n = n->slots[0].to;
    return pos_at(n, 0);
}

struct stream_pos stream_leaf_last(struct stream_leaf *leaf)
{
    return pos_at(leaf, leaf != NULL ? leaf->count - 1u : 0);
}

struct stream_pos stream_index_last(const struct stream_index *x)
{
    struct stream_leaf *n = x->root;
    for (unsigned height = x->height; height > 0; height--) n = n->slots[n->count - 1].to;
    return stream_leaf_last(n);
}

void stream_pos_next(struct stream_pos *pos)
{
    if (++pos->slot < pos->leaf->count) return;
    *pos = pos_at(pos->leaf->next, 0);
}

void stream_pos_prev(struct stream_pos *pos)
{
    if (pos->slot-- > 0) return;
    *pos = stream_leaf_last(pos->leaf->prev);
}

struct stream_key stream_pos_key(struct stream_pos pos)
{
    return pos.leaf->slots[pos.slot].key;
}
void *stream_pos_value(struct stream_pos pos)
{
    return pos.leaf->slots[pos.slot].to;
}
void stream_pos_set_value(struct stream_pos pos, void *value)
{
    pos.leaf->slots[pos.slot].to = value;
}

/* ---- checking ---- */

struct check {
    const struct stream_index *x;
    const struct stream_key *last;
    const struct stream_leaf *neighbour[128]; /* the previous node of each level */
    size_t values, nodes;
};

static void check_below(struct check *c, const struct stream_leaf *n, unsigned height)
{
    ASSERT(n->count > 0 && n->count <= n->cap);
    ASSERT(n->prev == c->neighbour[height]);
    ASSERT(n->prev == NULL || n->prev->next == n);
    c->neighbour[height] = n;
    c->nodes++;
    for (unsigned i = 0; i < n->count; i++) {
        const struct slot *s = &n->slots[i];
        if (height > 0) {
            ASSERT(compare(c->x, &s->key, &((const struct stream_leaf *)s->to)->slots[0].key) == 0);
            check_below(c, s->to, height - 1);
        } else {
            ASSERT(c->last == NULL || compare(c->x, c->last, &s->key) < 0);
            c->last = &s->key;
            c->values++;
        }
    }
}

void stream_index_check(const struct stream_index *x)
{
    struct check c = {.x = x};
    if (x->root != NULL) check_below(&c, x->root, x->height);
    for (unsigned i = 0; i < 128; i++) ASSERT(c.neighbour[i] == NULL || c.neighbour[i]->next == NULL);
    ASSERT(c.values == x->count && c.nodes == x->nodes);
    ASSERT((x->root == NULL) == (x->count == 0));
}

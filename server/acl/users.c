#include "server/acl/users.h"

#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

struct acl_users {
    struct command_table *commands;
    const struct settings_security *settings;
    struct acl_user **users; /* sorted by name; the table holds a reference on each */
    size_t count;
    struct acl_user *the_default; /* one of `users` */
};

struct acl_env acl_users_env(const struct acl_users *us)
{
    return (struct acl_env){.commands = us->commands, .all_channels = us->settings->acl_pubsub_default != 0};
}

/* ---- The table ---- */

/* The index at which the user of this name is or would be inserted. */
static size_t place_of(const struct acl_users *us, struct bytes_view name, bool *found)
{
    size_t low = 0, high = us->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = bytes_compare(acl_user_name(us->users[middle]), name);
        if (order == 0) *found = true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert_user(struct acl_users *us, struct acl_user *user)
{
    bool found;
    size_t at = place_of(us, acl_user_name(user), &found);
    ASSERT(!found);
    us->users = mem_realloc(us->users, checked_size_mul(us->count + 1, sizeof(struct acl_user *)));
    memmove(&us->users[at + 1], &us->users[at], (us->count - at) * sizeof(struct acl_user *));
    us->users[at] = user;
    us->count++;
}

struct acl_user *acl_users_find(const struct acl_users *us, struct bytes_view name)
{
    bool found;
    size_t at = place_of(us, name, &found);
    return found ? us->users[at] : NULL;
}

struct acl_user *acl_users_default(const struct acl_users *us)
{
    return us->the_default;
}
size_t acl_users_count(const struct acl_users *us)
{
    return us->count;
}
struct acl_user *acl_users_at(const struct acl_users *us, size_t index)
{
    ASSERT(index < us->count);
    return us->users[index];
}

static void must_apply(struct acl_user *user, const struct acl_env *env, const char *rule)
{
    enum acl_rule_result result = acl_user_apply(user, env, bytes_str(rule));
    ASSERT(result == ACL_RULE_OK);
}

struct acl_users *acl_users_new(struct command_table *commands, const struct settings_security *settings)
{
    static const char *const rules[] = {"on", "nopass", "allkeys", "allchannels", "allcommands"};
    struct acl_users *us = mem_calloc(sizeof(*us));
    us->commands = commands;
    us->settings = settings;
    struct acl_env env = acl_users_env(us);
    us->the_default = acl_user_new(&env, BYTES_LIT("default"));
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) must_apply(us->the_default, &env, rules[i]);
    insert_user(us, us->the_default);
    return us;
}

void acl_users_free(struct acl_users *us)
{
    if (us == NULL) return;
    for (size_t i = 0; i < us->count; i++) acl_user_unref(us->users[i]);
    mem_free(us->users);
    mem_free(us);
}

/* ---- Changes ---- */

/* Applies the rules to `draft`, which is taken over. Its contents then go to the user of that name, or it is added. */
static int commit(struct acl_users *us, struct acl_user *draft, const struct bytes_view *rules, size_t count,
                  struct acl_user **out, struct config_error *err)
{
    struct acl_env env = acl_users_env(us);
    int rc = acl_user_apply_all(draft, &env, rules, count, err);
    if (rc != 0) {
        acl_user_unref(draft);
        return rc;
    }
    struct acl_user *user = acl_users_find(us, acl_user_name(draft));
    if (user == NULL)
        insert_user(us, user = draft);
    else
        acl_user_assign(user, draft);
    *out = user;
    return 0;
}

int acl_users_set(struct acl_users *us, struct bytes_view name, const struct bytes_view *rules, size_t count,
                  struct acl_user **out, struct config_error *err)
{
    struct acl_env env = acl_users_env(us);
    const char *refusal = acl_user_name_refusal(name);
    if (refusal != NULL) return config_fail(err, "%s", refusal);
    const struct acl_user *user = acl_users_find(us, name);
    struct acl_user *draft = user == NULL ? acl_user_new(&env, name) : acl_user_copy(user);
    return commit(us, draft, rules, count, out, err);
}

int acl_users_set_anew(struct acl_users *us, struct bytes_view name, const struct bytes_view *rules, size_t count,
                       struct config_error *err)
{
    struct acl_env env = acl_users_env(us);
    struct acl_user *user;
    const char *refusal = acl_user_name_refusal(name);
    if (refusal != NULL) return config_fail(err, "%s", refusal);
    return commit(us, acl_user_new(&env, name), rules, count, &user, err);
}

void acl_users_remove(struct acl_users *us, struct acl_user *user)
{
    bool found;
    size_t at = place_of(us, acl_user_name(user), &found);
    ASSERT(found && user != us->the_default);
    us->count--;
    memmove(&us->users[at], &us->users[at + 1], (us->count - at) * sizeof(struct acl_user *));
    acl_user_unref(user);
}

void acl_users_set_default_password(struct acl_users *us, const struct bytes_view *password)
{
    struct acl_env env = acl_users_env(us);
    must_apply(us->the_default, &env, password == NULL ? "nopass" : "resetpass");
    if (password == NULL) return;
    struct bytes_buf rule = {0};
    bytes_buf_append(&rule, ">", 1);
    bytes_buf_append_view(&rule, *password);
    enum acl_rule_result result = acl_user_apply(us->the_default, &env, bytes_buf_view(&rule));
    ASSERT(result == ACL_RULE_OK);
    bytes_buf_release(&rule);
}

void acl_users_replace(struct acl_users *us, struct acl_users *from, void (*gone)(void *ctx, struct acl_user *user),
                       void *ctx)
{
    size_t kept = 0;
    for (size_t i = 0; i < us->count; i++) {
        struct acl_user *user = us->users[i], *wanted = acl_users_find(from, acl_user_name(user));
        if (wanted != NULL) {
            acl_user_assign(user, acl_user_copy(wanted));
            us->users[kept++] = user;
        } else {
            gone(ctx, user);
            acl_user_unref(user);
        }
    }
    us->count = kept;
    for (size_t i = 0; i < from->count; i++)
        if (acl_users_find(us, acl_user_name(from->users[i])) == NULL) insert_user(us, acl_user_ref(from->users[i]));
    acl_users_free(from);
}

/* Directives of other versions and forks, and how a line with one is refused. */
#include "server/config/config_foreign.h"

#include "tests/unit/server/config/config_fixture.h"

static void test_owners(void **state)
{
    (void)state;
    assert_string_equal(config_foreign_owner("gopher-enabled"), "Redis 6.0 and 6.2");
    assert_string_equal(config_foreign_owner("GOPHER-Enabled"), "Redis 6.0 and 6.2");
    assert_string_equal(config_foreign_owner("multi-master"), "KeyDB");
    assert_string_equal(config_foreign_owner("search-timeout"), "the modules of Redis 8");
    assert_string_equal(config_foreign_owner("BF-error-rate"), "the modules of Redis 8");
    assert_null(config_foreign_owner("gopher-enable"));
    assert_null(config_foreign_owner("research-x"));
    assert_null(config_foreign_owner("bf"));
    assert_null(config_foreign_owner(""));
    assert_null(config_foreign_owner("maxmemory"));
}

/* A name that is a directive here is nobody else's. */
static void name_is_not_foreign(void *ctx, const struct config_directive *row)
{
    (void)ctx;
    if (config_foreign_owner(row->name) != NULL) fail_msg("%s is a directive", row->name);
    if (row->alias != NULL && config_foreign_owner(row->alias) != NULL) fail_msg("%s is a directive", row->alias);
}

static void test_no_directive_of_ours_is_foreign(void **state)
{
    struct fixture *f = *state;
    config_each_row(f->cfg, NULL, name_is_not_foreign);
}

static void test_the_refusal_names_the_owner(void **state)
{
    struct fixture *f = *state;
    load_fails(f, "multi-master yes",
               "Bad directive: multi-master is of KeyDB, and this server has nothing that it could mean");
    load_fails(f, "no-such-thing yes", "Bad directive or wrong number of arguments");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_owners),
        WITH(test_no_directive_of_ours_is_foreign),
        WITH(test_the_refusal_names_the_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* fixture.h -- for tests of users: a table of commands, and users under it. */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_ACL_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_SERVER_ACL_FIXTURE_H

#include "server/commands/tables.h"
#include "server/acl/users.h"
#include "storage/base/memory.h"

struct fixture {
    struct settings settings;
    struct command_table *commands;
    struct acl_users *us;
    struct acl_user *user; /* of the test */
};

static inline int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->commands = command_table_new(command_row_tables(), NULL, 0);
    f->us = acl_users_new(f->commands, &f->settings.security);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    acl_users_free(f->us);
    command_table_free(f->commands);
    mem_free(f);
    return 0;
}

#endif

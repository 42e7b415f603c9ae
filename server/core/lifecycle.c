#include "server/core/lifecycle.h"

#include <stdio.h>

#include "server/core/core.h"
#include "server/net/loop.h"
#include "storage/base/sys.h"

void lifecycle_make_run_id(struct core *core)
{
    unsigned char random[RUN_ID_LEN / 2];
    sys_random(core->sys, random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++) snprintf(core->life.run_id + 2 * i, 3, "%02x", random[i]);
}

void lifecycle_stop(struct core *core, int exit_code)
{
    core->life.stopping = true;
    core->life.exit_code = exit_code;
    loop_stop(core->loop);
}

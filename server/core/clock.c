#include "server/core/clock.h"

#include "server/core/core.h"
#include "storage/base/sys.h"
#include "storage/keyspace.h"

void clock_update(struct core *core)
{
    if (exec_is_nested(&core->exec)) return;
    core->clock.now_us = sys_wall_us(core->sys);
    core->clock.now_ms = core->clock.now_us / 1000;
    core->clock.mono_us = sys_mono_us(core->sys);
    core->clock.mono_ms = core->clock.mono_us / 1000;
    keyspace_set_time(core->keyspace, core->clock.now_ms);
}

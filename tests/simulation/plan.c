#include "tests/simulation/plan.h"

#include <stdarg.h>
#include <stdio.h>

struct plan plan;

struct plan_item *plan_add(int64_t at_us, bool is_fault, void (*fn)(struct plan_item *item), const char *fmt, ...)
{
    if (plan.count == PLAN_ITEMS_MAX) return NULL;
    struct plan_item *item = &plan.items[plan.count];
    bool dropped = item->dropped;
    *item = (struct plan_item){.at_us = at_us, .fn = fn, .is_fault = is_fault, .dropped = dropped};
    rng_seed(&item->rng, sim.seed * 1000003 + plan.count);
    plan.count++;
    va_list args;
    va_start(args, fmt);
    vsnprintf(item->words, sizeof(item->words), fmt, args);
    va_end(args);
    return item;
}

uint64_t plan_below(uint64_t bound)
{
    return rng_below(&plan.rng, bound);
}

int64_t plan_between(int64_t least, int64_t most)
{
    return least + (int64_t)plan_below((uint64_t)(most - least) + 1);
}

bool plan_chance(unsigned per_mille)
{
    return per_mille > 0 && plan_below(1000) < per_mille;
}

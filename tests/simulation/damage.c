#include "tests/simulation/damage.h"

#include <string.h>

#include "server/house.h"
#include "server/streams/repair_replica.h"
#include "server/streams/verify_replica.h"
#include "tests/simulation/client.h"

enum {
    NOTICE_US = 8 * 1000 * 1000, /* a round takes a second, and a check rests nine times as long as it took */
    MEND_US = 30 * 1000 * 1000,  /* a request without an answer is repeated after ten seconds */
    QUIET_ROUNDS = 2,            /* parts of a big value are mended after its key, in a later round if need be */
    KEY_MAX = 64,
};

enum phase { UNDAMAGED = 0, ASKED, DAMAGED, NOTICED, MENDED };

static struct {
    struct sim_node *node;
    struct sim_client *client;
    unsigned how;
    enum phase phase;
    int64_t since_us;
    uint64_t mismatches, rounds; /* of its verification, at the last mismatch */
} damage;

void damage_begin(void)
{
    memset(&damage, 0, sizeof(damage));
}

static void enter(enum phase phase)
{
    damage.phase = phase;
    damage.since_us = sim.now_us;
}

/* ---- Which key ---- */

/* A string that stays until somebody deletes it, so that the damage does not vanish by itself. Copies its name. */
static bool find_string(const struct server *s, char key[KEY_MAX])
{
    struct table_iter it;
    const struct entry *e;
    table_iter_init(&it, &keyspace_db(s->core.keyspace, 0)->keys);
    while ((e = table_iter_next(&it)) != NULL) {
        struct bytes_view name = entry_key(e);
        if (e->type != TYPE_STRING || entry_expiry(e) != -1 || entry_string_len(e) == 0 || name.len >= KEY_MAX)
            continue;
        memcpy(key, name.data, name.len);
        key[name.len] = '\0';
        return strlen(key) == name.len;
    }
    return false;
}

static void connected(struct sim_client *c)
{
    static const char *const kinds[] = {"KEY", "LOST", "TTL", "BYTE"};
    const char *kind = kinds[damage.how % (sizeof(kinds) / sizeof(kinds[0]))];
    char key[KEY_MAX] = "damage";
    if (strcmp(kind, "KEY") != 0 && !find_string(damage.node->server, key)) kind = "KEY";
    struct bytes_view args[] = {bytes_str("DEBUG"), bytes_str("REPLICA-DAMAGE"), bytes_str(kind), bytes_str(key)};
    sim_client_send(c, args, 4);
}

static void replied(struct sim_client *c, const struct sim_reply *reply)
{
    if (!sim_reply_is(reply, "OK"))
        sim_fail("damage", "%s refuses what it was told: %.*s", damage.node->name, (int)reply->text.len,
                 reply->text.data);
    if (damage.phase == ASKED) enter(DAMAGED);
}

static const struct sim_client_events events = {.connected = connected, .reply = replied};

/* ---- The whole ---- */

bool damage_start(struct sim_node *replica, const struct sim_node *master, unsigned how)
{
    struct verify_replica_info info;
    verify_replica_describe(replica->server->verify_replica, &info);
    if (!master->server->core.settings->replication.replica_verify || strcmp(info.state, "verifying") != 0)
        return false;
    damage.node = replica;
    damage.how = how;
    enter(ASKED);
    damage.client = sim_client_new("vandal", &events, NULL);
    sim_client_connect(damage.client, replica);
    return true;
}

static void look_for_notice(void)
{
    struct verify_replica_info info;
    verify_replica_describe(damage.node->server->verify_replica, &info);
    if (info.mismatches > 0) {
        sim_reached("damage-noticed");
        sim_client_sendf(damage.client, "CONFIG SET replica-verify-repair yes");
        enter(NOTICED);
    } else if (sim.now_us - damage.since_us > NOTICE_US) {
        sim_fail("damage", "%s has not noticed for %d s that its data differ from its master's", damage.node->name,
                 NOTICE_US / 1000000);
    }
}

/* Whole rounds have found nothing since the last mismatch. */
static bool is_quiet(void)
{
    struct verify_replica_info info;
    verify_replica_describe(damage.node->server->verify_replica, &info);
    if (info.mismatches != damage.mismatches) damage.rounds = info.rounds;
    damage.mismatches = info.mismatches;
    return info.rounds >= damage.rounds + QUIET_ROUNDS;
}

static void look_for_repair(void)
{
    struct repair_replica_info info;
    repair_replica_describe(damage.node->server->repair_replica, &info);
    if (is_quiet() && info.mended > 0) {
        sim_reached("damage-mended");
        enter(MENDED);
    } else if (sim.now_us - damage.since_us > MEND_US) {
        sim_fail("damage", "%s has asked its master %llu times for what differs, and has not mended it",
                 damage.node->name, (unsigned long long)info.asked);
    }
}

bool damage_is_over(void)
{
    if (!sim_node_is_up(damage.node)) {
        sim_fail("damage", "%s has ended while its data differed from its master's", damage.node->name);
        return true;
    }
    if (damage.phase == DAMAGED) look_for_notice();
    if (damage.phase == NOTICED) look_for_repair();
    return damage.phase == MENDED;
}

bool damage_is_of(const struct sim_node *node)
{
    return damage.node == node;
}

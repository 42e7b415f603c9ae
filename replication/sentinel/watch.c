/* watch.c -- asks nodes whether they live, and judges.
 *
 *     PING    every node      period: a tenth of down-after, 100 ms to 1 s, so that a fault is seen soon after it
 *     INFO    servers         10 s; 1 s while something is wrong; 200 ms while a node is expected to change
 *     hello   every node      2 s (hello.c)
 *
 * A node is down by our own judgement ("s_down") when one of these has lasted too long:
 *   1. A PING without an acceptable answer, or no connection since the last one. Acceptable are +PONG, -LOADING and
 *      -MASTERDOWN. (down-after-milliseconds)
 *   2. A master that says that it is a replica. (down-after; and two periods of INFO if the other is not known as a master)
 *   3. A master that was restarted and answers LOADING. (master-reboot-down-after-period; 0: never)
 *   4. A master that answers something else than +PONG. (refusal-down-after-ms; 0: never)
 * PING does not wait for an INFO that is under way, and at most one is without an answer at a time (H6).
 *
 * TILT: if this process did not run for two seconds, its measurements are worth nothing. It goes on asking, but judges,
 * decides and confirms nothing for 30 s. The clock is monotonic, so setting the time of the machine causes no TILT. */
#include <stdio.h>
#include <string.h>

#include "replication/sentinel/sentinel_internal.h"

static int64_t longest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t shortest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- PING ---- */

int64_t watch_ping_period(const struct sentinel_node *node)
{
    int64_t fraction = longest(node->master->m->down_after_ms / 10, SENTINEL_TICK_MS);
    return shortest(node->sentinel->tunables.ping_period, fraction);
}

static void ping(struct sentinel_node *node)
{
    struct sentinel *s = node->sentinel;
    if (!node_send(node, TAG_PING, "PING")) return;
    node->ping_pending = true;
    node->ping_sent_at = s->now;
    if (node->unanswered_since == 0) node->unanswered_since = s->now;
}

static bool is_error(const struct sentinel_value *reply, const char *code)
{
    return reply->kind == SENTINEL_REPLY_ERROR && bytes_starts_with(reply->text, code);
}

static void kill_script(struct sentinel_node *node)
{
    if (node->kind == SENTINEL_PEER || !node->s_down || node->script_killed) return;
    node->script_killed = node_send(node, TAG_IGNORE, "SCRIPT", "KILL");
}

/* A server that answers, but nothing useful: how long has it done so? */
static void note_refusal(struct sentinel_node *node, const struct sentinel_value *reply)
{
    int64_t now = node->sentinel->now;
    if (node->refused_since == 0) node->refused_since = now;
    if (node->kind == SENTINEL_MASTER && node->rebooted_at == 0 && is_error(reply, "LOADING")) node->rebooted_at = now;
}

static bool is_acceptable(const struct sentinel_value *reply)
{
    bool pong = reply->kind == SENTINEL_REPLY_STATUS && bytes_starts_with(reply->text, "PONG");
    return pong || is_error(reply, "LOADING") || is_error(reply, "MASTERDOWN");
}

static void note_auth(struct sentinel_node *node, const struct sentinel_value *reply)
{
    char text[128];
    if (!is_error(reply, "NOAUTH") && !is_error(reply, "WRONGPASS")) return;
    snprintf(text, sizeof(text), "%.*s", bytes_shown(reply->text, 100), reply->text.data);
    node_auth_failed(node, text);
}

void watch_ping_answered(struct sentinel_node *node, const struct sentinel_value *reply)
{
    struct sentinel *s = node->sentinel;
    node->ping_pending = false;
    if (reply == NULL) return;
    node->last_pong_at = s->now;
    if (reply->kind == SENTINEL_REPLY_STATUS) {
        node->refused_since = node->rebooted_at = 0;
        node_auth_failed(node, NULL);
    } else {
        note_refusal(node, reply);
        note_auth(node, reply);
        if (is_error(reply, "BUSY")) kill_script(node);
    }
    if (!is_acceptable(reply)) return;
    node->last_ok_at = s->now;
    node->unanswered_since = 0;
}

/* ---- INFO ---- */

static bool is_expected_to_change(const struct sentinel_node *node)
{
    return node == node->master->m->promoted || node->reconf == RECONF_SENT || node->reconf == RECONF_IN_PROGRESS ||
           node->told_to_follow ||
           (node->kind == SENTINEL_REPLICA && node->facts.role == ROLE_MASTER && node->facts.loading);
}

static bool is_in_trouble(const struct sentinel_node *node)
{
    const struct sentinel_node *master = node->master;
    if (node->info_at == 0) return true;
    if (node->kind == SENTINEL_MASTER)
        return node->facts.role == ROLE_REPLICA || node->rebooted_at != 0 || node->m->replicas == NULL;
    return master->s_down || master->m->state != FAILOVER_IDLE || node->facts.link_down_ms != 0 ||
           node->facts.role == ROLE_MASTER;
}

static int64_t info_period(const struct sentinel_node *node)
{
    int64_t period = node->sentinel->tunables.info_period;
    if (is_expected_to_change(node)) return shortest(period, BUSY_INFO_MS);
    return is_in_trouble(node) ? shortest(period, 1000) : period;
}

void watch_ask_info(struct sentinel_node *node)
{
    if (node->info_pending || !node_send(node, TAG_INFO, "INFO")) return;
    node->info_pending = true;
    node->info_asked_at = node->sentinel->now;
}

/* ---- What is due ---- */

/* Connections over which nothing comes although they look open. */
static void renew_hung_links(struct sentinel_node *node)
{
    struct sentinel *s = node->sentinel;
    int64_t half = node->master->m->down_after_ms / 2, age = s->tunables.min_link_reconnect;
    if (node->up[SENTINEL_LINK_COMMANDS] && s->now - node->up_at[SENTINEL_LINK_COMMANDS] > age &&
        node->unanswered_since != 0 && s->now - node->unanswered_since > half && s->now - node->last_pong_at > half)
        node_reconnect(node, SENTINEL_LINK_COMMANDS);
    if (node->up[SENTINEL_LINK_HELLOS] && s->now - node->up_at[SENTINEL_LINK_HELLOS] > age &&
        s->now - node->last_heard_hellos > 3 * s->tunables.publish_period)
        node_reconnect(node, SENTINEL_LINK_HELLOS);
}

static void send_what_is_due(struct sentinel_node *node)
{
    struct sentinel *s = node->sentinel;
    if (!node->ping_pending && s->now - node->ping_sent_at >= watch_ping_period(node)) ping(node);
    if (node->kind != SENTINEL_PEER && s->now - node->info_asked_at >= info_period(node)) watch_ask_info(node);
    if (s->now - node->hello_sent_at >= s->tunables.publish_period) hello_send(node);
}

void watch_connected(struct sentinel_node *node)
{
    ping(node);
    if (node->kind != SENTINEL_PEER) watch_ask_info(node);
}

/* ---- Judgement ---- */

static bool lasts(struct sentinel_node *node, int64_t since, int64_t limit)
{
    if (since == 0) return false;
    sentinel_wake_at(node->sentinel, since + limit + 1);
    return node->sentinel->now - since > limit;
}

static bool is_silent(struct sentinel_node *node)
{
    int64_t since = node->unanswered_since;
    if (since == 0 && !node->up[SENTINEL_LINK_COMMANDS]) since = node->last_ok_at;
    return lasts(node, since, node->master->m->down_after_ms);
}

static bool pretends_to_be_replica(struct sentinel_node *node)
{
    if (node->kind != SENTINEL_MASTER || node->facts.role != ROLE_REPLICA) return false;
    int64_t doubt = 2 * node->sentinel->tunables.info_period;
    FOR_EACH_NODE(replica, node->m->replicas)
    if (candidate_has_taken_over(replica)) doubt = 0;
    return lasts(node, node->role_since, node->m->down_after_ms + doubt);
}

static bool is_useless(struct sentinel_node *node)
{
    const struct master_part *m = node->m;
    if (node->kind != SENTINEL_MASTER) return false;
    return (m->reboot_down_after_ms != 0 && lasts(node, node->rebooted_at, m->reboot_down_after_ms)) ||
           (m->refusal_down_after_ms != 0 && lasts(node, node->refused_since, m->refusal_down_after_ms));
}

static void judge(struct sentinel_node *node)
{
    struct sentinel *s = node->sentinel;
    bool down = is_silent(node) || pretends_to_be_replica(node) || is_useless(node);
    if (down) node->not_down_since = s->now;
    if (down == node->s_down) return;
    node->s_down = down;
    node->s_down_since = s->now;
    node->script_killed = false;
    sentinel_event(s, SENTINEL_WARNING, down ? "+sdown" : "-sdown", node, "%s", "");
    if (down && node->kind == SENTINEL_MASTER) agree_ask(node);
}

void watch_tick(struct sentinel_node *node)
{
    renew_hung_links(node);
    if (node->up[SENTINEL_LINK_COMMANDS]) send_what_is_due(node);
    if (node->sentinel->tilt_since == 0) judge(node);
}

/* ---- TILT ---- */

void watch_tilt(struct sentinel *s)
{
    if (s->now - s->last_tick > s->tunables.tilt_trigger) {
        s->tilt_since = s->now;
        sentinel_event_text(s, SENTINEL_WARNING, "+tilt", NULL, "#tilt mode entered");
    } else if (s->tilt_since != 0 && s->now - s->tilt_since > s->tunables.tilt_period) {
        s->tilt_since = 0;
        sentinel_event_text(s, SENTINEL_WARNING, "-tilt", NULL, "#tilt mode exited");
    }
}

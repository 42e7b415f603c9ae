/* config_special.c -- directives whose values are not one plain field: parsing, printing and rewriting. */
#include "server/config/config_special.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <strings.h>

#include "server/config/config_internal.h"
#include "server/process/process_title.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/base/words.h"

static void append_word(struct bytes_buf *out, const char *word)
{
    bytes_buf_printf(out, out->len > 0 ? " %s" : "%s", word);
}

/* ---- bind ---- */

static void bind_release(void *target)
{
    struct settings_bind *bind = target;
    for (int i = 0; i < bind->count; i++) config_replace_string(&bind->addresses[i], NULL);
    bind->count = 0;
}

static int bind_set(struct config *cfg, void *target, char **words, size_t count, struct config_error *err)
{
    struct settings_bind *bind = target;
    if (count > SETTINGS_BIND_MAX) return config_fail(err, "Too many bind addresses specified.");
    for (size_t i = 0; i < count; i++) {
        if (*words[i] == '\0' || strchr(words[i], ' ') != NULL)
            return config_fail(err, "Invalid bind address '%s'", words[i]);
    }
    bind_release(bind);
    for (size_t i = 0; i < count; i++) bind->addresses[bind->count++] = mem_strdup(words[i]);
    return 0;
}

static void bind_get(const struct config *cfg, const void *target, struct bytes_buf *out)
{
    const struct settings_bind *bind = target;
    for (int i = 0; i < bind->count; i++) append_word(out, bind->addresses[i]);
}

const struct config_special config_special_bind = {.set = bind_set, .get = bind_get, .release = bind_release};

/* ---- proxy-protocol-trusted ---- */

static int ranges_set(struct config *cfg, void *target, char **words, size_t count, struct config_error *err)
{
    struct settings_ranges parsed = {.count = 0}, *ranges = target;
    if (count > SETTINGS_RANGES_MAX) return config_fail(err, "Too many addresses specified.");
    for (size_t i = 0; i < count; i++) {
        if (*words[i] == '\0' && count == 1) break; /* "": none */
        if (ip_range_parse(words[i], &parsed.ranges[parsed.count++]) != 0)
            return config_fail(err, "'%s' is not an address, nor a range such as 10.0.0.0/8", words[i]);
    }
    *ranges = parsed;
    return 0;
}

static void ranges_get(const struct config *cfg, const void *target, struct bytes_buf *out)
{
    const struct settings_ranges *ranges = target;
    char text[IP_RANGE_TEXT_MAX];
    for (int i = 0; i < ranges->count; i++) {
        ip_range_print(&ranges->ranges[i], text);
        append_word(out, text);
    }
}

const struct config_special config_special_ranges = {.set = ranges_set, .get = ranges_get};

/* ---- save ---- */

static bool save_point_parse(char **words, struct save_point *out)
{
    return num_parse_i64(bytes_str(words[0]), &out->seconds) && num_parse_i64(bytes_str(words[1]), &out->changes) &&
           out->seconds >= 1 && out->changes >= 0;
}

/* The first `save` of a file replaces the default points; later ones add to it; an empty one removes all points. */
static int save_set(struct config *cfg, void *target, char **words, size_t count, struct config_error *err)
{
    struct settings_persistence *st = target;
    size_t kept = cfg->appending && count > 0 ? (size_t)st->save_count : 0;
    if (count % 2 != 0) return config_fail(err, "Invalid save parameters");
    if (kept + count / 2 > SETTINGS_SAVE_POINTS_MAX) return config_fail(err, "Too many save points");
    struct save_point points[SETTINGS_SAVE_POINTS_MAX];
    for (size_t i = 0; i < count / 2; i++) {
        if (!save_point_parse(&words[2 * i], &points[i])) return config_fail(err, "Invalid save parameters");
    }
    memcpy(&st->save[kept], points, count / 2 * sizeof(points[0]));
    st->save_count = (int)(kept + count / 2);
    return 0;
}

static void save_get(const struct config *cfg, const void *target, struct bytes_buf *out)
{
    const struct settings_persistence *st = target;
    for (int i = 0; i < st->save_count; i++) {
        bytes_buf_printf(out, "%s%lld %lld", i > 0 ? " " : "", (long long)st->save[i].seconds,
                         (long long)st->save[i].changes);
    }
}

/* Writes one line per point, and `save ""` if there is none, since a file without `save` means the default points; a
 * sentinel saves nothing anyway. Lines add to each other, so `save ""` comes first if an included file has points. */
static void save_rewrite(const struct config *cfg, const void *target, const char *name, struct config_rewriter *rw)
{
    const struct settings_persistence *st = target;
    bool included = config_rewrite_is_included(rw);
    if (included) config_rewrite_at_end(rw);
    if (included || st->save_count == 0)
        config_rewrite_line(rw, name, BYTES_LIT("save \"\""), !cfg->settings->sentinel.mode);
    for (int i = 0; i < st->save_count; i++) {
        struct bytes_buf line = {NULL, 0, 0};
        bytes_buf_printf(&line, "%s %lld %lld", name, (long long)st->save[i].seconds, (long long)st->save[i].changes);
        config_rewrite_line(rw, name, bytes_buf_view(&line), true);
        bytes_buf_release(&line);
    }
}

const struct config_special config_special_save = {.set = save_set, .get = save_get, .rewrite = save_rewrite};

/* ---- client-output-buffer-limit ---- */

static int limit_class_of(const char *name)
{
    if (strcasecmp(name, "normal") == 0) return CLIENT_LIMIT_NORMAL;
    if (strcasecmp(name, "slave") == 0 || strcasecmp(name, "replica") == 0) return CLIENT_LIMIT_REPLICA;
    if (strcasecmp(name, "pubsub") == 0) return CLIENT_LIMIT_PUBSUB;
    return -1;
}

static bool output_limit_parse(char **words, struct output_limit *out)
{
    return num_parse_memory(bytes_str(words[0]), &out->hard_bytes) &&
           num_parse_memory(bytes_str(words[1]), &out->soft_bytes) &&
           num_parse_i64(bytes_str(words[2]), &out->soft_seconds) && out->soft_seconds >= 0;
}

/* CLASS HARD SOFT SECONDS, repeated. Classes that are not named keep their limits. */
static int output_limits_set(struct config *cfg, void *target, char **words, size_t count, struct config_error *err)
{
    struct settings_clients *st = target;
    struct output_limit limits[CLIENT_LIMIT_CLASSES];
    memcpy(limits, st->output_limits, sizeof(limits));
    if (count % 4 != 0) return config_fail(err, "Wrong number of arguments in buffer limit configuration.");
    for (size_t i = 0; i < count; i += 4) {
        int class = limit_class_of(words[i]);
        if (class < 0) return config_fail(err, "Invalid client class specified in buffer limit configuration.");
        if (!output_limit_parse(&words[i + 1], &limits[class]))
            return config_fail(err, "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
    }
    memcpy(st->output_limits, limits, sizeof(limits));
    return 0;
}

static void append_output_limit(struct bytes_buf *out, const char *class_name, const struct output_limit *limit)
{
    bytes_buf_printf(out, "%s%s %llu %llu %lld", out->len > 0 ? " " : "", class_name,
                     (unsigned long long)limit->hard_bytes, (unsigned long long)limit->soft_bytes,
                     (long long)limit->soft_seconds);
}

static void output_limits_get(const struct config *cfg, const void *target, struct bytes_buf *out)
{
    static const char *const names[CLIENT_LIMIT_CLASSES] = {"normal", "slave", "pubsub"};
    const struct settings_clients *st = target;
    for (int i = 0; i < CLIENT_LIMIT_CLASSES; i++) append_output_limit(out, names[i], &st->output_limits[i]);
}

static void output_limits_rewrite(const struct config *cfg, const void *target, const char *name,
                                  struct config_rewriter *rw)
{
    static const char *const names[CLIENT_LIMIT_CLASSES] = {"normal", "replica", "pubsub"};
    static const struct output_limit defaults[CLIENT_LIMIT_CLASSES] = {
        {0, 0, 0}, {256 << 20, 64 << 20, 60}, {32 << 20, 8 << 20, 60}};
    const struct settings_clients *st = target;
    for (int i = 0; i < CLIENT_LIMIT_CLASSES; i++) {
        struct bytes_buf line = {NULL, 0, 0};
        bytes_buf_printf(&line, "%s", name);
        append_output_limit(&line, names[i], &st->output_limits[i]);
        bool changed = memcmp(&st->output_limits[i], &defaults[i], sizeof(defaults[i])) != 0;
        config_rewrite_line(rw, name, bytes_buf_view(&line), changed);
        bytes_buf_release(&line);
    }
}

const struct config_special config_special_output_limits = {
    .set = output_limits_set, .get = output_limits_get, .rewrite = output_limits_rewrite};

/* ---- oom-score-adj-values ---- */

static int oom_values_set(struct config *cfg, void *target, char **words, size_t count, struct config_error *err)
{
    struct settings_process *st = target;
    int64_t values[3];
    if (count != 3) return config_fail(err, "wrong number of arguments");
    for (size_t i = 0; i < 3; i++) {
        if (!num_parse_i64(bytes_str(words[i]), &values[i]) || values[i] < -2000 || values[i] > 2000)
            return config_fail(err, "Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
    }
    for (size_t i = 0; i < 3; i++) st->oom_score_adj_values[i] = (int)values[i];
    return 0;
}

static void oom_values_get(const struct config *cfg, const void *target, struct bytes_buf *out)
{
    const int *v = ((const struct settings_process *)target)->oom_score_adj_values;
    bytes_buf_printf(out, "%d %d %d", v[0], v[1], v[2]);
}

const struct config_special config_special_oom_values = {.set = oom_values_set, .get = oom_values_get};

/* ---- notify-keyspace-events ---- */

static const struct {
    char letter;
    unsigned flag;
} notify_letters[] = {
    {'g', NOTIFY_GENERIC},  {'$', NOTIFY_STRING},   {'l', NOTIFY_LIST},     {'s', NOTIFY_SET},    {'h', NOTIFY_HASH},
    {'z', NOTIFY_ZSET},     {'x', NOTIFY_EXPIRED},  {'e', NOTIFY_EVICTED},  {'t', NOTIFY_STREAM}, {'d', NOTIFY_MODULE},
    {'K', NOTIFY_KEYSPACE}, {'E', NOTIFY_KEYEVENT}, {'m', NOTIFY_KEY_MISS}, {'n', NOTIFY_NEW},
};
enum { NOTIFY_LETTERS = sizeof(notify_letters) / sizeof(notify_letters[0]) };

void config_notify_to_text(unsigned flags, struct bytes_buf *out)
{
    bool all = (flags & NOTIFY_ALL) == NOTIFY_ALL;
    if (all) bytes_buf_append(out, "A", 1);
    for (size_t i = 0; i < NOTIFY_LETTERS; i++) {
        unsigned flag = notify_letters[i].flag;
        if ((flags & flag) != 0 && !(all && (flag & NOTIFY_ALL) != 0))
            bytes_buf_append(out, &notify_letters[i].letter, 1);
    }
}

static unsigned notify_flag_of(char letter)
{
    if (letter == 'A') return NOTIFY_ALL;
    for (size_t i = 0; i < NOTIFY_LETTERS; i++) {
        if (notify_letters[i].letter == letter) return notify_letters[i].flag;
    }
    return 0;
}

int config_notify_from_text(const char *text)
{
    unsigned flags = 0;
    for (; *text != '\0'; text++) {
        unsigned flag = notify_flag_of(*text);
        if (flag == 0) return -1;
        flags |= flag;
    }
    return (int)flags;
}

static int notify_set(struct config *cfg, void *target, char **words, size_t count, struct config_error *err)
{
    int flags = config_notify_from_text(words[0]);
    if (flags < 0) return config_fail(err, "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
    *(unsigned *)target = (unsigned)flags;
    return 0;
}

static void notify_get(const struct config *cfg, const void *target, struct bytes_buf *out)
{
    config_notify_to_text(*(const unsigned *)target, out);
}

const struct config_special config_special_notify = {.set = notify_set, .get = notify_get};

/* ---- latency-tracking-info-percentiles ---- */

static int percentiles_set(struct config *cfg, void *target, char **words, size_t count, struct config_error *err)
{
    struct settings_latency *st = target;
    double values[SETTINGS_PERCENTILES_MAX];
    if (count > SETTINGS_PERCENTILES_MAX) return config_fail(err, "Too many latency-tracking-info-percentiles");
    for (size_t i = 0; i < count; i++) {
        if (!num_parse_double(bytes_str(words[i]), &values[i]))
            return config_fail(err, "Invalid latency-tracking-info-percentiles parameters");
        if (!(values[i] >= 0.0 && values[i] <= 100.0))
            return config_fail(err, "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
    }
    memcpy(st->percentiles, values, count * sizeof(values[0]));
    st->percentile_count = (int)count;
    return 0;
}

static void percentiles_get(const struct config *cfg, const void *target, struct bytes_buf *out)
{
    const struct settings_latency *st = target;
    for (int i = 0; i < st->percentile_count; i++)
        bytes_buf_printf(out, "%s%.10g", i > 0 ? " " : "", st->percentiles[i]);
}

const struct config_special config_special_percentiles = {.set = percentiles_set, .get = percentiles_get};

/* ---- replicaof ---- */

static int replicaof_set(struct config *cfg, void *target, char **words, size_t count, struct config_error *err)
{
    struct repl_settings *repl = target;
    int64_t port;
    if (count == 0 || (count == 2 && strcasecmp(words[0], "no") == 0 && strcasecmp(words[1], "one") == 0)) {
        config_replace_string(&repl->master_host, NULL);
        repl->master_port = 0;
        return 0;
    }
    if (count != 2) return config_fail(err, "wrong number of arguments");
    if (!num_parse_i64(bytes_str(words[1]), &port) || port < 0 || port > 65535)
        return config_fail(err, "Invalid master port");
    config_replace_string(&repl->master_host, words[0]);
    repl->master_port = (int)port;
    return 0;
}

static void replicaof_get(const struct config *cfg, const void *target, struct bytes_buf *out)
{
    const struct repl_settings *repl = target;
    if (repl->master_host != NULL) bytes_buf_printf(out, "%s %d", repl->master_host, repl->master_port);
}

/* Without a master the line is dropped, or becomes "no one" if an included file names a master. */
static void replicaof_rewrite(const struct config *cfg, const void *target, const char *name,
                              struct config_rewriter *rw)
{
    const struct repl_settings *repl = target;
    if (repl->master_host == NULL && !config_rewrite_is_included(rw)) return;
    struct bytes_buf line = {NULL, 0, 0};
    bytes_buf_printf(&line, repl->master_host == NULL ? "%s no one" : "%s ", name);
    if (repl->master_host != NULL) {
        word_append(&line, repl->master_host);
        bytes_buf_printf(&line, " %d", repl->master_port);
    }
    config_rewrite_line(rw, name, bytes_buf_view(&line), true);
    bytes_buf_release(&line);
}

static void replicaof_release(void *target)
{
    config_replace_string(&((struct repl_settings *)target)->master_host, NULL);
}

const struct config_special config_special_replicaof = {
    .set = replicaof_set, .get = replicaof_get, .rewrite = replicaof_rewrite, .release = replicaof_release};

/* ---- dir ---- */

/* Changes the directory at once, so that later lines may have paths relative to it. "" is the current directory. */
static int dir_set(struct config *cfg, void *target, char **words, size_t count, struct config_error *err)
{
    const char *path = *words[0] != '\0' ? words[0] : ".";
    char absolute[PATH_MAX];
    if (cfg->hooks.change_dir != NULL) {
        int rc = cfg->hooks.change_dir(cfg->hooks.ctx, path, absolute, sizeof(absolute));
        if (rc == 0)
            path = absolute;
        else if (*words[0] != '\0')
            return config_fail(err, "%s", strerror(-rc));
    }
    config_replace_string(target, path);
    return 0;
}

static void dir_get(const struct config *cfg, const void *target, struct bytes_buf *out)
{
    bytes_buf_append_view(out, bytes_str(*(char *const *)target));
}

static void dir_release(void *target)
{
    config_replace_string(target, NULL);
}

const struct config_special config_special_dir = {.set = dir_set, .get = dir_get, .release = dir_release};

/* ---- rename-command, user ---- */

static int rename_set(struct config *cfg, void *target, char **words, size_t count, struct config_error *err)
{
    struct settings_misc *st = target;
    if (count != 2) return config_fail(err, "Bad directive or wrong number of arguments");
    const char *from = words[0], *refusal = NULL;
    if (cfg->hooks.renamed != NULL)
        from = cfg->hooks.renamed(cfg->hooks.ctx, st->renamed, st->renamed_count, words[0], words[1], &refusal);
    if (from == NULL) return config_fail(err, "%s", refusal);
    st->renamed = mem_realloc(st->renamed, (st->renamed_count + 1) * sizeof(*st->renamed));
    st->renamed[st->renamed_count++] = (struct renamed_command){mem_strdup(from), mem_strdup(words[1])};
    return 0;
}

static void rename_release(void *target)
{
    struct settings_misc *st = target;
    for (size_t i = 0; i < st->renamed_count; i++) {
        mem_free(st->renamed[i].from);
        mem_free(st->renamed[i].to);
    }
    mem_free(st->renamed);
    st->renamed = NULL;
    st->renamed_count = 0;
}

const struct config_special config_special_rename = {.set = rename_set, .release = rename_release};

static int user_set(struct config *cfg, void *target, char **words, size_t count, struct config_error *err)
{
    struct settings_misc *st = target;
    if (count == 0) return config_fail(err, "Bad directive or wrong number of arguments");
    for (size_t i = 0; i < st->user_count; i++)
        if (strcmp(st->users[i].words[0], words[0]) == 0 && st->users[i].included == cfg->including)
            return config_fail(err,
                               "Error in user declaration '%.128s': Duplicate user found. A user can only be defined "
                               "once in config files",
                               words[0]);
    struct user_line user = {.words = mem_alloc(count * sizeof(char *)), .count = count, .included = cfg->including};
    for (size_t i = 0; i < count; i++) user.words[i] = mem_strdup(words[i]);
    st->users = mem_realloc(st->users, (st->user_count + 1) * sizeof(*st->users));
    st->users[st->user_count++] = user;
    return 0;
}

static void user_release(void *target)
{
    struct settings_misc *st = target;
    config_users_release(st->users, st->user_count);
    st->users = NULL;
    st->user_count = 0;
}

static void user_rewrite(const struct config *cfg, const void *target, const char *name, struct config_rewriter *rw)
{
    for (size_t i = 0; i < cfg->user_count; i++) {
        struct bytes_buf line = {NULL, 0, 0};
        bytes_buf_printf(&line, "%s", name);
        for (size_t j = 0; j < cfg->users[i].count; j++) {
            bytes_buf_append(&line, " ", 1);
            word_append(&line, cfg->users[i].words[j]);
        }
        config_rewrite_line(rw, name, bytes_buf_view(&line), true);
        bytes_buf_release(&line);
    }
}

static bool user_rewrites(const struct config *cfg)
{
    return cfg->users_noted;
}

const struct config_special config_special_user = {
    .set = user_set, .rewrite = user_rewrite, .release = user_release, .rewrites = user_rewrites};

/* ---- Checks of plain values ---- */

static int check_no_path(const char *text, const char *name, const char *what, struct config_error *err)
{
    if (strchr(text, '/') == NULL && strcmp(text, ".") != 0 && strcmp(text, "..") != 0) return 0;
    return config_fail(err, "%s can't be a path, just a %s", name, what);
}

int config_check_dbfilename(const struct config *cfg, const char *text, int64_t *number, struct config_error *err)
{
    return check_no_path(text, "dbfilename", "filename", err);
}

int config_check_appendfilename(const struct config *cfg, const char *text, int64_t *number, struct config_error *err)
{
    if (*text == '\0') return config_fail(err, "appendfilename can't be empty");
    return check_no_path(text, "appendfilename", "filename", err);
}

int config_check_appenddirname(const struct config *cfg, const char *text, int64_t *number, struct config_error *err)
{
    if (*text == '\0') return config_fail(err, "appenddirname can't be empty");
    return check_no_path(text, "appenddirname", "dirname", err);
}

int config_check_title(const struct config *cfg, const char *text, int64_t *number, struct config_error *err)
{
    if (process_title_template_valid(text)) return 0;
    return config_fail(err, "template format is invalid or contains unknown variables");
}

int config_check_hostname(const struct config *cfg, const char *text, int64_t *number, struct config_error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    if (strspn(text, allowed) == strlen(text)) return 0;
    return config_fail(err, "Hostnames may only contain alphanumeric characters, hyphens or dots");
}

int config_check_hosts(const struct config *cfg, const char *text, int64_t *number, struct config_error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._ ";
    if (strcmp(text, "*") == 0 || strspn(text, allowed) == strlen(text)) return 0;
    return config_fail(err,
                       "Names of hosts may only contain letters, digits, hyphens, underscores and dots, with blanks "
                       "between them; \"*\" stands for all");
}

int config_check_hz(const struct config *cfg, const char *text, int64_t *number, struct config_error *err)
{
    if (*number < CONFIG_HZ_MIN) *number = CONFIG_HZ_MIN;
    if (*number > CONFIG_HZ_MAX) *number = CONFIG_HZ_MAX;
    return 0;
}

/* A smaller size from a file is stored as written, and CONFIG GET shows it. Replication applies the minimum anyway. */
int config_check_backlog(const struct config *cfg, const char *text, int64_t *number, struct config_error *err)
{
    if (cfg->by_command && *number < REPL_BACKLOG_MIN) *number = REPL_BACKLOG_MIN;
    return 0;
}

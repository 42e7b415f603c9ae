#include "server/process/process_title.h"

#include <string.h>
#include <unistd.h>

#include "storage/base/bytes.h"
#include "storage/base/memory.h"

struct process_title {
    char *area; /* that held the arguments and the environment */
    size_t size;
    char **argv;    /* copies of the arguments */
    char **strings; /* copies of the environment; they live until the process ends */
    int argc;
    char *name;
};

/* ---- Memory ---- */

/* The end of those strings that follow `end` and each other without a gap. */
static char *end_of_strings(char *end, char **strings)
{
    for (; *strings != NULL && *strings == end; strings++) end = *strings + strlen(*strings) + 1;
    return end;
}

static char **copy_strings(char **strings)
{
    size_t count = 0;
    while (strings[count] != NULL) count++;
    char **copy = mem_alloc((count + 1) * sizeof(*copy));
    for (size_t i = 0; i < count; i++) copy[i] = mem_strdup(strings[i]);
    copy[count] = NULL;
    return copy;
}

struct process_title *process_title_new(int argc, char **argv)
{
    struct process_title *t = mem_calloc(sizeof(*t));
    t->argc = argc;
    t->name = mem_strdup(argc > 0 ? argv[0] : "lockstep-server");
    if (argc == 0) return t;
    t->area = argv[0];
    t->size = (size_t)(end_of_strings(end_of_strings(argv[0], argv), environ) - argv[0]);
    t->argv = copy_strings(argv);
    t->strings = copy_strings(environ);
    memcpy(argv, t->argv, (size_t)argc * sizeof(*argv));
    for (size_t i = 0; t->strings[i] != NULL; i++) environ[i] = t->strings[i]; /* the array itself stays */
    return t;
}

void process_title_free(struct process_title *title)
{
    if (title == NULL) return;
    for (int i = 0; i < title->argc; i++) mem_free(title->argv[i]);
    mem_free(title->argv);
    mem_free(title->strings); /* the strings stay: they are the environment */
    mem_free(title->name);
    mem_free(title);
}

/* ---- Template ---- */

static void append_text(struct bytes_buf *out, const char *text)
{
    if (text != NULL) bytes_buf_append_view(out, bytes_str(text));
}

static bool append_value(struct bytes_buf *out, struct bytes_view name, const struct process_title_values *v)
{
    if (bytes_equal(name, BYTES_LIT("title")))
        append_text(out, v->title);
    else if (bytes_equal(name, BYTES_LIT("listen-addr")))
        append_text(out, v->listen_addr);
    else if (bytes_equal(name, BYTES_LIT("server-mode")))
        append_text(out, v->server_mode);
    else if (bytes_equal(name, BYTES_LIT("unixsocket")))
        append_text(out, v->unixsocket);
    else if (bytes_equal(name, BYTES_LIT("config-file")))
        append_text(out, v->config_file);
    else if (bytes_equal(name, BYTES_LIT("port")))
        bytes_buf_printf(out, "%d", v->port);
    else if (bytes_equal(name, BYTES_LIT("tls-port")))
        bytes_buf_printf(out, "%d", v->tls_port);
    else
        return false;
    return true;
}

/* "{{" stands for "{". False for a name that is unknown or not closed. */
static bool expand(const char *text, const struct process_title_values *values, struct bytes_buf *out)
{
    for (const char *at = text; *at != '\0';) {
        size_t plain = strcspn(at, "{");
        bytes_buf_append(out, at, plain);
        at += plain;
        if (*at == '\0') break;
        if (at[1] == '{') {
            bytes_buf_append(out, at, 1);
            at += 2;
            continue;
        }
        const char *close = strchr(at, '}');
        if (close == NULL || !append_value(out, bytes_view(at + 1, (size_t)(close - at) - 1), values)) return false;
        at = close + 1;
    }
    return true;
}

bool process_title_template_valid(const char *template_text)
{
    struct bytes_buf out = {NULL, 0, 0};
    struct process_title_values none = {.title = "", .listen_addr = "", .server_mode = ""};
    bool valid = expand(template_text, &none, &out);
    bytes_buf_release(&out);
    return valid;
}

void process_title_set(struct process_title *title, const char *template_text,
                       const struct process_title_values *values)
{
    struct bytes_buf out = {NULL, 0, 0};
    struct process_title_values v = *values;
    if (v.title == NULL) v.title = title->name;
    if (title->area != NULL && expand(template_text, &v, &out)) {
        while (out.len > 0 && out.data[out.len - 1] == ' ') out.len--;
        size_t len = out.len < title->size - 1 ? out.len : title->size - 1;
        memset(title->area, 0, title->size);
        if (len > 0) memcpy(title->area, out.data, len);
    }
    bytes_buf_release(&out);
}

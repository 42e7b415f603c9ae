/* process_title.h -- the command line that ps shows, from proc-title-template.
 *
 * The kernel reads it from the memory that held the arguments and the environment at the start. This module writes the
 * title into that memory, after it has copied those strings elsewhere. */
#ifndef LOCKSTEP_SERVER_PROCESS_PROCESS_TITLE_H
#define LOCKSTEP_SERVER_PROCESS_PROCESS_TITLE_H

#include <stdbool.h>

struct process_title; /* opaque */

/* Called first in main(). Replaces the strings in argv by copies that live as long as the object, and those of the
 * environment by copies that are never freed. */
struct process_title *process_title_new(int argc, char **argv);
void process_title_free(struct process_title *title);

struct process_title_values {
    const char *title;       /* NULL: argv[0] */
    const char *listen_addr; /* "127.0.0.1:6379", "*:6379" or the Unix socket's path */
    const char *server_mode; /* "" */
    int port;
    int tls_port;
    const char *unixsocket;  /* or NULL */
    const char *config_file; /* or NULL */
};
/* Whether the template has only known variables; "{{" stands for "{". */
bool process_title_template_valid(const char *template_text);
void process_title_set(struct process_title *title, const char *template_text,
                       const struct process_title_values *values);

#endif

/* process_title.h -- what ps shows as the command: proc-title-template, filled in.
 *
 * The kernel reads a process's title from the memory where the arguments and the environment were at its start, so that
 * area is taken over and its strings are moved elsewhere. */
#ifndef LOCKSTEP_SERVER_PROCESS_PROCESS_TITLE_H
#define LOCKSTEP_SERVER_PROCESS_PROCESS_TITLE_H

#include <stdbool.h>

struct process_title; /* opaque */

/* Call it first in main(). argv's strings are replaced by copies that live as long as the object. */
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
bool process_title_template_valid(const char *template_text);
void process_title_set(struct process_title *title, const char *template_text,
                       const struct process_title_values *values);

#endif

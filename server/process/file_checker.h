/* file_checker.h -- the program as redis-check-rdb and redis-check-aof.
 *
 * Its name or its first option selects a checker. It starts no server and reads no configuration. */
#ifndef LOCKSTEP_SERVER_PROCESS_FILE_CHECKER_H
#define LOCKSTEP_SERVER_PROCESS_FILE_CHECKER_H

#include "storage/base/sys.h"

/* True if the program was called as a checker (by a name that contains check-rdb, or with --check-rdb as the first
 * argument). The check is then done and *code is the exit code: 0 if the file is valid. */
bool file_checker_run(const struct sys *sys, int argc, char **argv, int *code);

#endif

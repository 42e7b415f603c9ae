/* file_checker.h -- the server's program as a checker of files: redis-check-rdb and redis-check-aof, by its name or by
 * an option. It starts no server and reads no configuration. */
#ifndef LOCKSTEP_SERVER_PROCESS_FILE_CHECKER_H
#define LOCKSTEP_SERVER_PROCESS_FILE_CHECKER_H

#include "storage/base/sys.h"

/* True: the program was called as a checker (a name like redis-check-rdb, or --check-rdb first), it has done its work,
 * and *code is its exit code: 0 if the file is good. */
bool file_checker_run(const struct sys *sys, int argc, char **argv, int *code);

#endif

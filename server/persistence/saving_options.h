/* saving_options.h -- what settings and data set say about a snapshot that is to be made now.
 *
 * The RDB version is rdb-version, or a higher one where the data set has what that version cannot hold. */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_SAVING_OPTIONS_H
#define LOCKSTEP_SERVER_PERSISTENCE_SAVING_OPTIONS_H

#include "server/core/core.h"
#include "storage/snapshot.h"

struct repl_position;

/* Of an RDB file whose data set is that of this position in the stream. */
struct snapshot_options saving_options(const struct core *core, const struct repl_position *at);
/* Of a base of the append-only file, as an RDB or as commands. */
struct snapshot_options saving_options_of_base(const struct core *core, bool as_commands,
                                               const struct repl_position *at);

#endif

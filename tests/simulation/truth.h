/* truth.h -- what the bytes of each replication history are, as they were seen in the streams of all nodes.
 *
 *      history A   |==========================|----------|
 *      history B          (forked from A)     |=================|       id, position of its first byte, bytes
 *
 * The first node that appends a byte of a history says what it is. Each other node that appends at the same position of
 * the same history is compared with it, at once. The linker puts functions of this module in front of the product's
 * (--wrap), so the product has no hooks.
 *
 * Checks: (a) nodes that claim the same id and offset have applied the same bytes;
 *         (b) the offset of a node does not go back within one life, but for a new history, another master, or
 *             content of the moment that a former master takes back;
 *         (e) no full synchronization where the position was in the history's backlog; neither after a restart, nor if the
 *             replica forgets to ask for its position. */
#ifndef LOCKSTEP_TESTS_SIMULATION_TRUTH_H
#define LOCKSTEP_TESTS_SIMULATION_TRUTH_H

#include "tests/simulation/world.h"

struct repl;

void truth_begin(void);
void truth_end(void);
void truth_node_ended(struct sim_node *node); /* its process is gone, with its struct repl */
/* It is told to follow another server, which may be behind it in the same history. */
void truth_master_changes(const struct sim_node *node);
struct repl *truth_repl(const struct sim_node *node); /* NULL: no server */
bool truth_has_adopted(const struct sim_node *node);  /* in this life, by a full synchronization */
/* A peer that is no node asks this master as one would that has all up to this position. */
void truth_claims(const struct sim_node *master, uint64_t position);
/* The number of other nodes that have ever applied the master's stream up to and with the last place of `text` in it, or
 * have claimed so. -1: the text is not in the stream. */
int truth_holders(const struct sim_node *master, struct bytes_view text);
/* The same for nodes that have ever said that it is in their logs, on disk. */
int truth_keepers(const struct sim_node *master, struct bytes_view text);
/* What the log of the node has to bring back: all bytes up to where it has ever said that its log is on disk, of that
 * history and the ones before it, as far as they are known. Not what its data set lost to a full synchronization. */
void truth_each_on_disk(const struct sim_node *node, void (*fn)(void *ctx, struct bytes_view bytes), void *ctx);
/* Its operator has switched the log off and on: it owes nothing. */
void truth_log_gone(const struct sim_node *node);

#endif

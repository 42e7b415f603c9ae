/* states.h -- the rare states that the simulator has to reach: a name for each, and what it means.
 *
 * sim_reached("name") notes one, at most once in a run. In 10,000 runs each has to be reached 20 times (simulate.c). */
#ifndef LOCKSTEP_TESTS_SIMULATION_STATES_H
#define LOCKSTEP_TESTS_SIMULATION_STATES_H

/* X(name, meaning) */
#define SIM_STATES(X)                                                                                                  \
    X("killed-in-write", "kill -9 between two pages of a write to the log")                                            \
    X("killed-at-call", "kill -9 at a chosen system call")                                                             \
    /* resynchronization */                                                                                            \
    X("partial-resync", "a replica resumes from the backlog")                                                          \
    X("edge-of-backlog", "a replica resumes from the very first byte of the backlog")                                  \
    X("one-byte-too-old", "a replica asks for the byte before the backlog")                                            \
    X("second-id", "a replica resumes by the second id of its master")                                                 \
    X("beyond-the-fork", "a replica asks for a position of the second id that is beyond the fork")                     \
    X("moment-taken-back", "a former master takes back content that changed no data")                                  \
    X("resync-from-chain", "a replica resumes from a replica")                                                         \
    X("resync-after-restart", "a server that restarted from its files resumes")                                        \
    X("backlog-from-log", "a server that restarts has a backlog from its log")                                         \
    X("secret-remembered", "and knows the secret of its history from its lineage file")                                \
    X("secret-of-another-history", "a lineage file does not name the history of the data")                             \
    X("backlog-dropped", "a master without replicas drops its backlog")                                                \
    X("name-fails", "the name of a master does not resolve")                                                           \
    X("name-given-up", "a link is given up while the name of its master is resolved")                                  \
    X("verified-round", "a replica has compared all its data with its master's")                                       \
    X("damage-noticed", "a replica notices that its data were changed behind its back")                                \
    X("damage-mended", "and gets them back from its master")                                                           \
    /* full synchronization */                                                                                         \
    X("snapshot-shared", "two replicas share one snapshot")                                                            \
    X("snapshot-cancelled", "a snapshot is cancelled because no replica waits for it")                                 \
    X("output-limit-in-snapshot", "a replica passes its output limit while it receives a snapshot")                    \
    X("output-limit-online", "a replica passes its output limit while it receives the stream")                         \
    X("load-given-up", "a data set that was received in part is dropped")                                              \
    X("child-refused", "a full synchronization has to wait for another child")                                         \
    /* roles */                                                                                                        \
    X("promoted-in-transfer", "a replica is promoted while it receives a snapshot")                                    \
    X("promoted-in-unit", "a replica is promoted while it has a part of a unit")                                       \
    X("master-changed-in-transfer", "a replica gets another master while it receives a snapshot")                      \
    X("handed-over", "a master hands over to a replica that is promoted, and loses nothing")                           \
    X("failed-over", "likewise by FAILOVER")                                                                           \
    X("promoted-alone", "a replica that asks its master gets no answer in time")                                       \
    X("two-masters", "two servers are masters at the same time")                                                       \
    X("old-master-answers", "a master that was replaced acknowledges a write")                                         \
    X("stopped-master-returns", "a master that was stopped goes on after another one was promoted")                    \
    X("restart-after-flush", "a server restarts that had answered FLUSHALL and got no key since")                      \
    /* deaths */                                                                                                       \
    X("died-in-transfer", "a replica dies while it receives a snapshot")                                               \
    X("died-while-loading", "a server dies while it loads a data set")                                                 \
    X("died-with-child", "a server dies while its child writes")                                                       \
    X("died-in-rewrite", "a server dies while the rewritten base exists and no manifest lists it")                     \
    X("died-between-log-and-replica", "a master dies after it wrote to its log and before it sent that to a replica")  \
    X("died-before-log", "a server dies with a part of the stream that is not in its log")                             \
    X("died-serving-snapshot", "a master dies while it sends a snapshot")                                              \
    X("log-ends-server", "a server ends because it cannot keep the promise of `always`")                               \
    /* disk */                                                                                                         \
    X("torn-page", "a power cut leaves a page half old, half new")                                                     \
    X("lost-page", "a power cut loses a page")                                                                         \
    X("cut-tail", "a power cut shortens a file")                                                                       \
    X("lost-rename", "a power cut undoes a rename")                                                                    \
    X("log-truncated", "a log that was damaged is cut back when it is loaded")                                         \
    X("log-full-disk", "the log cannot be written because the disk is full")                                           \
    X("log-short-write", "the disk takes a part of a write")                                                           \
    X("log-begins-with-snapshot", "a received snapshot is the base of the log")                                        \
    X("log-without-data", "a master whose log does not hold the data set refuses writes")                              \
    X("log-let-go", "the log gives up what waits for the disk")                                                        \
    X("log-doubtful", "an fsync of the log failed and later ones succeed")                                             \
    /* children */                                                                                                     \
    X("child-killed", "a child is killed in the middle")                                                               \
    X("child-pipe-full", "a child waits because its pipe is full")                                                     \
    X("fork-failed", "a fork fails")                                                                                   \
    /* clients */                                                                                                      \
    X("unknown-applied", "a write without an answer is in the data set")                                               \
    X("unknown-lost", "a write without an answer is not in the data set")                                              \
    X("output-limit-client", "a client passes its output limit")                                                       \
    X("query-limit", "a request passes client-query-buffer-limit")                                                     \
    X("cut-in-transaction", "a connection ends between MULTI and the answer of EXEC")                                  \
    X("wait-confirmed", "WAIT is answered by a replica")                                                               \
    X("waitaof-confirmed", "WAITAOF is answered for the own disk")                                                     \
    X("waitaof-of-replica", "WAITAOF is answered for the disk of a replica")

#endif

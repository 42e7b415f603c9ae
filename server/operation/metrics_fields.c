#include "server/operation/metrics_fields.h"

#include "storage/base/num.h"

static const struct metrics_field rows[] = {
    /* server. Versions and names are labels of redis_instance_info and lockstep_info */
    {"redis_version"},
    {"server_name"},
    {"lockstep_version"},
    {"redis_git_sha1"},
    {"redis_git_dirty"},
    {"redis_build_id"},
    {"redis_mode"},
    {"os"},
    {"arch_bits"},
    {"monotonic_clock"},
    {"multiplexing_api"},
    {"atomicvar_api"},
    {"gcc_version"},
    {"process_id", "redis_process_id", METRICS_GAUGE, "Process id."},
    {"process_supervised"},
    {"run_id"},
    {"tcp_port"},
    {"server_time_usec"},
    {"uptime_in_seconds", "redis_uptime_in_seconds", METRICS_GAUGE, "Seconds since the server started."},
    {"uptime_in_days"},
    {"hz"},
    {"configured_hz"},
    {"lru_clock"},
    {"executable"},
    {"config_file"},
    {"io_threads_active", "redis_io_threads_active", METRICS_GAUGE,
     "Always 0: one thread serves commands and sockets."},
    {"listener"},
    {"shutdown_in_milliseconds"},
    /* clients */
    {"connected_clients", "redis_connected_clients", METRICS_GAUGE, "Connected clients, without replicas."},
    {"cluster_connections", "redis_cluster_connections", METRICS_GAUGE, "Always 0: there is no cluster mode."},
    {"maxclients", "redis_config_maxclients", METRICS_GAUGE, "The setting maxclients."},
    {"client_recent_max_input_buffer", "redis_client_recent_max_input_buffer_bytes", METRICS_GAUGE,
     "The longest input of a client that is not parsed yet."},
    {"client_recent_max_output_buffer", "redis_client_recent_max_output_buffer_bytes", METRICS_GAUGE,
     "The largest output buffer of a client."},
    {"blocked_clients", "redis_blocked_clients", METRICS_GAUGE, "Clients whose command waits."},
    {"tracking_clients", "redis_tracking_clients", METRICS_GAUGE, "Clients that are told of changed keys."},
    {"pubsub_clients", "redis_pubsub_clients", METRICS_GAUGE, "Clients with subscriptions."},
    {"watching_clients", "redis_watching_clients", METRICS_GAUGE, "Clients that watch keys."},
    {"clients_in_timeout_table", "redis_clients_in_timeout_table", METRICS_GAUGE, "Blocked clients with a deadline."},
    {"total_watched_keys", "redis_watched_keys", METRICS_GAUGE, "Keys that transactions watch."},
    {"total_blocking_keys", "redis_blocking_keys", METRICS_GAUGE, "Keys that blocked clients wait for."},
    {"total_blocking_keys_on_nokey", "redis_blocking_keys_on_nokey", METRICS_GAUGE,
     "Keys whose deletion ends a wait of a client, too."},
    /* memory */
    {"used_memory", "redis_memory_used_bytes", METRICS_GAUGE, "Bytes that the server has allocated."},
    {"used_memory_human"},
    {"used_memory_rss", "redis_memory_used_rss_bytes", METRICS_GAUGE, "Resident memory of the process."},
    {"used_memory_rss_human"},
    {"used_memory_peak", "redis_memory_used_peak_bytes", METRICS_GAUGE,
     "The most bytes that the server has had allocated."},
    {"used_memory_peak_human"},
    {"used_memory_peak_perc"},
    {"used_memory_overhead", "redis_memory_used_overhead_bytes", METRICS_GAUGE,
     "Bytes that are not the data set: tables, clients, replication."},
    {"used_memory_startup", "redis_memory_used_startup_bytes", METRICS_GAUGE,
     "Bytes that were allocated after the start."},
    {"used_memory_dataset", "redis_memory_used_dataset_bytes", METRICS_GAUGE, "Bytes of the data set."},
    {"used_memory_dataset_perc"},
    {"allocator_allocated", "redis_allocator_allocated_bytes", METRICS_GAUGE,
     "Bytes that the allocator has given out."},
    {"allocator_active", "redis_allocator_active_bytes", METRICS_GAUGE,
     "Bytes of the allocator in pages with at least one allocation."},
    {"allocator_resident", "redis_allocator_resident_bytes", METRICS_GAUGE,
     "Bytes of the allocator in physical memory."},
    {"total_system_memory", "redis_total_system_memory_bytes", METRICS_GAUGE, "Physical memory of the machine."},
    {"total_system_memory_human"},
    {"used_memory_vm_eval", "redis_memory_used_vm_eval_bytes", METRICS_GAUGE, "Bytes of the Lua state of EVAL."},
    {"used_memory_lua", "redis_memory_used_lua_bytes", METRICS_GAUGE, "Bytes of the Lua state of EVAL."},
    {"used_memory_lua_human"},
    {"used_memory_scripts_eval", "redis_memory_used_scripts_eval_bytes", METRICS_GAUGE, "Bytes of cached scripts."},
    {"number_of_cached_scripts", "redis_number_of_cached_scripts", METRICS_GAUGE, "Scripts in the cache of EVAL."},
    {"number_of_functions", "redis_number_of_functions", METRICS_GAUGE, "Functions of all libraries."},
    {"number_of_libraries", "redis_number_of_libraries", METRICS_GAUGE, "Libraries of functions."},
    {"used_memory_vm_functions", "redis_memory_used_vm_functions_bytes", METRICS_GAUGE,
     "Bytes of the Lua state of functions."},
    {"used_memory_vm_total", "redis_memory_used_vm_total_bytes", METRICS_GAUGE, "Bytes of all Lua states."},
    {"used_memory_vm_total_human"},
    {"used_memory_functions", "redis_memory_used_functions_bytes", METRICS_GAUGE, "Bytes of libraries and functions."},
    {"used_memory_scripts", "redis_memory_used_scripts_bytes", METRICS_GAUGE, "Bytes of scripts and functions."},
    {"used_memory_scripts_human"},
    {"maxmemory", "redis_memory_max_bytes", METRICS_GAUGE, "The setting maxmemory; 0 is no limit."},
    {"maxmemory", "redis_config_maxmemory", METRICS_GAUGE, "The setting maxmemory; 0 is no limit."},
    {"maxmemory_human"},
    {"maxmemory_policy"},
    {"allocator_frag_ratio", "redis_allocator_frag_ratio", METRICS_GAUGE,
     "Active bytes of the allocator, divided by allocated ones."},
    {"allocator_frag_bytes", "redis_allocator_frag_bytes", METRICS_GAUGE,
     "Active bytes of the allocator without allocated ones."},
    {"allocator_rss_ratio", "redis_allocator_rss_ratio", METRICS_GAUGE,
     "Resident bytes of the allocator, divided by active ones."},
    {"allocator_rss_bytes", "redis_allocator_rss_bytes", METRICS_GAUGE,
     "Resident bytes of the allocator without active ones."},
    {"rss_overhead_ratio", "redis_rss_overhead_ratio", METRICS_GAUGE,
     "Resident bytes of the process, divided by those of the allocator."},
    {"rss_overhead_bytes", "redis_rss_overhead_bytes", METRICS_GAUGE,
     "Resident bytes of the process without those of the allocator."},
    {"mem_fragmentation_ratio", "redis_mem_fragmentation_ratio", METRICS_GAUGE,
     "Resident bytes of the process, divided by allocated ones."},
    {"mem_fragmentation_bytes", "redis_mem_fragmentation_bytes", METRICS_GAUGE,
     "Resident bytes of the process without allocated ones."},
    {"mem_not_counted_for_evict", "redis_mem_not_counted_for_eviction_bytes", METRICS_GAUGE,
     "Allocated bytes that maxmemory does not count."},
    {"mem_replication_backlog", "redis_mem_replication_backlog_bytes", METRICS_GAUGE,
     "Bytes of the replication backlog."},
    {"mem_total_replication_buffers", "redis_mem_total_replication_buffers_bytes", METRICS_GAUGE,
     "Bytes of the backlog, and of what is kept for replicas beyond it."},
    {"mem_clients_slaves", "redis_mem_clients_slaves", METRICS_GAUGE, "Bytes of the connections of replicas."},
    {"mem_clients_normal", "redis_mem_clients_normal", METRICS_GAUGE, "Bytes of the connections of clients."},
    {"mem_cluster_links", "redis_mem_cluster_links_bytes", METRICS_GAUGE, "Always 0: there is no cluster mode."},
    {"mem_aof_buffer", "redis_mem_aof_buffer_bytes", METRICS_GAUGE,
     "Bytes that wait to be written to the append-only file."},
    {"mem_allocator"},
    {"active_defrag_running", "redis_active_defrag_running", METRICS_GAUGE,
     "Always 0: there is no active defragmentation."},
    {"lazyfree_pending_objects", "redis_lazyfree_pending_objects", METRICS_GAUGE,
     "Values that wait to be freed in the background."},
    {"lazyfreed_objects", "redis_lazyfreed_objects_total", METRICS_COUNTER,
     "Values that were freed in the background."},
    /* persistence */
    {"loading", "redis_loading_dump_file", METRICS_GAUGE, "1 while a data set is loaded and commands are refused."},
    {"async_loading", "redis_async_loading", METRICS_GAUGE, "1 while a data set is loaded and the old one is served."},
    {"current_cow_peak", "redis_current_cow_peak_bytes", METRICS_GAUGE,
     "The most memory that the running child has not shared with the server."},
    {"current_cow_size", "redis_current_cow_size_bytes", METRICS_GAUGE,
     "Memory that the running child does not share with the server."},
    {"current_cow_size_age", "redis_current_cow_size_age_seconds", METRICS_GAUGE,
     "Age of redis_current_cow_size_bytes."},
    {"current_fork_perc"},
    {"current_save_keys_processed", "redis_current_save_keys_processed", METRICS_GAUGE,
     "Keys that the running child has written."},
    {"current_save_keys_total", "redis_current_save_keys", METRICS_GAUGE, "Keys that the running child has to write."},
    {"rdb_changes_since_last_save", "redis_rdb_changes_since_last_save", METRICS_GAUGE,
     "Changes of the data set since the last RDB file."},
    {"rdb_bgsave_in_progress", "redis_rdb_bgsave_in_progress", METRICS_GAUGE,
     "1 while a child writes an RDB file, or a snapshot for replicas."},
    {"rdb_last_save_time", "redis_rdb_last_save_timestamp_seconds", METRICS_GAUGE,
     "When the last RDB file was written, as Unix time."},
    {"rdb_last_bgsave_status", "redis_rdb_last_bgsave_status", METRICS_GAUGE,
     "1 if the last background save succeeded.", .unit = METRICS_IS_OK},
    {"rdb_last_bgsave_time_sec", "redis_rdb_last_bgsave_duration_sec", METRICS_GAUGE,
     "Seconds that the last background save took; -1: there was none."},
    {"rdb_current_bgsave_time_sec", "redis_rdb_current_bgsave_duration_sec", METRICS_GAUGE,
     "Seconds that the running background save has taken; -1: none runs."},
    {"rdb_saves", "redis_rdb_saves_total", METRICS_COUNTER, "RDB files that were written."},
    {"rdb_last_cow_size", "redis_rdb_last_cow_size_bytes", METRICS_GAUGE,
     "Memory that the child of the last save did not share with the server."},
    {"rdb_last_load_keys_expired", "redis_rdb_last_load_keys_expired", METRICS_GAUGE,
     "Keys of the last RDB file that was loaded that had expired."},
    {"rdb_last_load_keys_loaded", "redis_rdb_last_load_keys_loaded", METRICS_GAUGE,
     "Keys of the last RDB file that was loaded."},
    {"aof_enabled", "redis_aof_enabled", METRICS_GAUGE, "1 if the append-only file is on."},
    {"aof_rewrite_in_progress", "redis_aof_rewrite_in_progress", METRICS_GAUGE,
     "1 while the append-only file is rewritten."},
    {"aof_rewrite_scheduled", "redis_aof_rewrite_scheduled", METRICS_GAUGE,
     "1 if a rewrite of the append-only file is due."},
    {"aof_last_rewrite_time_sec", "redis_aof_last_rewrite_duration_sec", METRICS_GAUGE,
     "Seconds that the last rewrite took; -1: there was none."},
    {"aof_current_rewrite_time_sec", "redis_aof_current_rewrite_duration_sec", METRICS_GAUGE,
     "Seconds that the running rewrite has taken; -1: none runs."},
    {"aof_last_bgrewrite_status", "redis_aof_last_bgrewrite_status", METRICS_GAUGE, "1 if the last rewrite succeeded.",
     .unit = METRICS_IS_OK},
    {"aof_rewrites", "redis_aof_rewrites_total", METRICS_COUNTER, "Rewrites of the append-only file that succeeded."},
    {"aof_rewrites_consecutive_failures", "redis_aof_rewrites_consecutive_failures", METRICS_GAUGE,
     "Rewrites that have failed since the last one that succeeded."},
    {"aof_last_write_status", "redis_aof_last_write_status", METRICS_GAUGE,
     "1 if writing and syncing the append-only file works.", .unit = METRICS_IS_OK},
    {"aof_last_cow_size", "redis_aof_last_cow_size_bytes", METRICS_GAUGE,
     "Memory that the child of the last rewrite did not share with the server."},
    {"lineage_status"},
    {"lineage_found"},
    {"lineage_write_in_progress", "lockstep_lineage_write_in_progress", METRICS_GAUGE,
     "1 while the lineage file is written."},
    {"lineage_last_write_time", "lockstep_lineage_last_write_timestamp_seconds", METRICS_GAUGE,
     "Unix time at which the lineage file was last written; 0: never."},
    {"lineage_writes", "lockstep_lineage_writes_total", METRICS_COUNTER, "Lineage files that were written."},
    {"lineage_write_failures", "lockstep_lineage_write_failures_total", METRICS_COUNTER,
     "Lineage files that could not be written."},
    {"lineage_before_role"},
    {"lineage_before_keys"},
    {"lineage_before_flushed"},
    {"module_fork_in_progress", "redis_module_fork_in_progress", METRICS_GAUGE, "Always 0: there are no modules."},
    {"module_fork_last_cow_size", "redis_module_fork_last_cow_size", METRICS_GAUGE, "Always 0: there are no modules."},
    {"aof_current_size", "redis_aof_current_size_bytes", METRICS_GAUGE, "Bytes of the append-only file."},
    {"aof_base_size", "redis_aof_base_size_bytes", METRICS_GAUGE,
     "Bytes of the append-only file after the last rewrite."},
    {"aof_pending_rewrite", "redis_aof_pending_rewrite", METRICS_GAUGE,
     "1 if a rewrite of the append-only file is due."},
    {"aof_buffer_length", "redis_aof_buffer_length", METRICS_GAUGE,
     "Bytes that wait to be written to the append-only file."},
    {"aof_pending_bio_fsync", "redis_aof_pending_bio_fsync", METRICS_GAUGE,
     "Syncs of the append-only file that have not ended."},
    {"aof_delayed_fsync", "redis_aof_delayed_fsync", METRICS_GAUGE,
     "Syncs of the append-only file that took longer than two seconds."},
    {"loading_start_time", "redis_loading_start_timestamp_seconds", METRICS_GAUGE,
     "When the running load began, as Unix time."},
    {"loading_total_bytes", "redis_loading_total_bytes", METRICS_GAUGE, "Bytes of the file that is loaded."},
    {"loading_rdb_used_mem", "redis_loading_rdb_used_memory_bytes", METRICS_GAUGE,
     "Memory that the server had when the RDB file was written."},
    {"loading_loaded_bytes", "redis_loading_loaded_bytes", METRICS_GAUGE, "Bytes of the file that were loaded."},
    {"loading_loaded_perc"},
    {"loading_eta_seconds", "redis_loading_eta_seconds", METRICS_GAUGE,
     "Seconds until the load is complete, as estimated."},
    /* stats. Means over the last moments are left out: rate() makes them of the counters */
    {"total_connections_received", "redis_connections_received_total", METRICS_COUNTER,
     "Connections that were accepted."},
    {"total_commands_processed", "redis_commands_processed_total", METRICS_COUNTER, "Commands that were run."},
    {"instantaneous_ops_per_sec"},
    {"total_net_input_bytes", "redis_net_input_bytes_total", METRICS_COUNTER, "Bytes that were received."},
    {"total_net_output_bytes", "redis_net_output_bytes_total", METRICS_COUNTER, "Bytes that were sent."},
    {"total_net_repl_input_bytes", "redis_net_repl_input_bytes_total", METRICS_COUNTER,
     "Bytes that were received from our master."},
    {"total_net_repl_output_bytes", "redis_net_repl_output_bytes_total", METRICS_COUNTER,
     "Bytes that were sent to replicas."},
    {"instantaneous_input_kbps"},
    {"instantaneous_output_kbps"},
    {"instantaneous_input_repl_kbps"},
    {"instantaneous_output_repl_kbps"},
    {"rejected_connections", "redis_rejected_connections_total", METRICS_COUNTER,
     "Connections that maxclients or protected mode refused."},
    {"sync_full", "redis_replica_resyncs_full", METRICS_GAUGE, "Full synchronizations of replicas that were begun."},
    {"sync_partial_ok", "redis_replica_partial_resync_accepted", METRICS_GAUGE,
     "Partial resynchronizations of replicas."},
    {"sync_partial_err", "redis_replica_partial_resync_denied", METRICS_GAUGE,
     "Partial resynchronizations that replicas asked for in vain."},
    {"expired_keys", "redis_expired_keys_total", METRICS_COUNTER, "Keys that have expired."},
    {"expired_subkeys", "redis_expired_subkeys_total", METRICS_COUNTER, "Fields of hashes that have expired."},
    {"expired_stale_perc", "redis_expired_stale_percentage", METRICS_GAUGE,
     "Share of keys with a time to live that have expired and not been deleted yet, as estimated, in percent."},
    {"expired_time_cap_reached_count", "redis_expired_time_cap_reached_total", METRICS_COUNTER,
     "Slices of expiry that ended because of their time."},
    {"expire_cycle_cpu_milliseconds", "redis_expire_cycle_cpu_seconds_total", METRICS_COUNTER,
     "Time that deleting expired keys has taken.", .unit = METRICS_MILLISECONDS},
    {"evicted_keys", "redis_evicted_keys_total", METRICS_COUNTER, "Keys that were evicted because of maxmemory."},
    {"evicted_clients", "redis_evicted_clients_total", METRICS_COUNTER,
     "Clients that were closed because of maxmemory-clients."},
    {"total_eviction_exceeded_time", "redis_eviction_exceeded_seconds_total", METRICS_COUNTER,
     "Time for which memory was above maxmemory.", .unit = METRICS_MILLISECONDS},
    {"current_eviction_exceeded_time", "redis_current_eviction_exceeded_seconds", METRICS_GAUGE,
     "Time for which memory has been above maxmemory; 0: it is not.", .unit = METRICS_MILLISECONDS},
    {"keyspace_hits", "redis_keyspace_hits_total", METRICS_COUNTER, "Keys that reads have found."},
    {"keyspace_misses", "redis_keyspace_misses_total", METRICS_COUNTER, "Keys that reads have not found."},
    {"pubsub_channels", "redis_pubsub_channels", METRICS_GAUGE, "Channels with subscribers."},
    {"pubsub_patterns", "redis_pubsub_patterns", METRICS_GAUGE, "Patterns with subscribers."},
    {"pubsubshard_channels", "redis_pubsubshard_channels", METRICS_GAUGE, "Shard channels with subscribers."},
    {"latest_fork_usec", "redis_latest_fork_seconds", METRICS_GAUGE, "Time that the last fork took.",
     .unit = METRICS_MICROSECONDS},
    {"total_forks", "redis_forks_total", METRICS_COUNTER, "Child processes that were started."},
    {"migrate_cached_sockets", "redis_migrate_cached_sockets_total", METRICS_GAUGE,
     "Connections that MIGRATE keeps open."},
    {"slave_expires_tracked_keys", "redis_slave_expires_tracked_keys", METRICS_GAUGE,
     "Keys that a writable replica will expire itself."},
    {"active_defrag_hits", "redis_defrag_hits", METRICS_GAUGE, "Always 0: there is no active defragmentation."},
    {"active_defrag_misses", "redis_defrag_misses", METRICS_GAUGE, "Always 0: there is no active defragmentation."},
    {"active_defrag_key_hits", "redis_defrag_key_hits", METRICS_GAUGE, "Always 0: there is no active defragmentation."},
    {"active_defrag_key_misses", "redis_defrag_key_misses", METRICS_GAUGE,
     "Always 0: there is no active defragmentation."},
    {"total_active_defrag_time"},
    {"current_active_defrag_time"},
    {"tracking_total_keys", "redis_tracking_total_keys", METRICS_GAUGE, "Keys in the table of tracked keys."},
    {"tracking_total_items", "redis_tracking_total_items", METRICS_GAUGE,
     "Pairs of key and client in the table of tracked keys."},
    {"tracking_total_prefixes", "redis_tracking_total_prefixes", METRICS_GAUGE, "Prefixes of tracked keys."},
    {"unexpected_error_replies", "redis_unexpected_error_replies", METRICS_COUNTER,
     "Errors of commands from our master or the append-only file."},
    {"total_error_replies", "redis_total_error_replies", METRICS_COUNTER, "Error replies."},
    {"dump_payload_sanitizations", "redis_dump_payload_sanitizations", METRICS_COUNTER,
     "Values of RESTORE and RDB files that were checked."},
    {"total_reads_processed", "redis_total_reads_processed", METRICS_COUNTER, "Reads from sockets of clients."},
    {"total_writes_processed", "redis_total_writes_processed", METRICS_COUNTER, "Writes to sockets of clients."},
    {"io_threaded_reads_processed", "redis_io_threaded_reads_processed", METRICS_COUNTER,
     "Always 0: one thread serves commands and sockets."},
    {"io_threaded_writes_processed", "redis_io_threaded_writes_processed", METRICS_COUNTER,
     "Always 0: one thread serves commands and sockets."},
    {"client_query_buffer_limit_disconnections", "redis_client_query_buffer_limit_disconnections_total",
     METRICS_COUNTER, "Clients that were closed because of client-query-buffer-limit."},
    {"client_output_buffer_limit_disconnections", "redis_client_output_buffer_limit_disconnections_total",
     METRICS_COUNTER, "Clients that were closed because of client-output-buffer-limit."},
    {"eventloop_cycles", "redis_eventloop_cycles_total", METRICS_COUNTER, "Turns of the event loop."},
    {"eventloop_duration_sum", "redis_eventloop_duration_seconds_total", METRICS_COUNTER,
     "Time of the turns of the event loop, without waiting.", .unit = METRICS_MICROSECONDS},
    {"eventloop_duration_cmd_sum", "redis_eventloop_duration_cmd_seconds_total", METRICS_COUNTER,
     "Time that commands took.", .unit = METRICS_MICROSECONDS},
    {"instantaneous_eventloop_cycles_per_sec"},
    {"instantaneous_eventloop_duration_usec"},
    {"acl_access_denied_auth", "redis_acl_access_denied_auth_total", METRICS_COUNTER, "Logins that failed."},
    {"acl_access_denied_cmd", "redis_acl_access_denied_cmd_total", METRICS_COUNTER,
     "Commands that a user was not permitted."},
    {"acl_access_denied_key", "redis_acl_access_denied_key_total", METRICS_COUNTER,
     "Keys that a user was not permitted."},
    {"acl_access_denied_channel", "redis_acl_access_denied_channel_total", METRICS_COUNTER,
     "Channels that a user was not permitted."},
    /* replication. role, master_host, master_port and slave_read_only are labels; replicas are in metrics.c */
    {"role"},
    {"master_host"},
    {"master_port"},
    {"master_link_status", "redis_master_link_up", METRICS_GAUGE, "1 if the stream of our master arrives.",
     .unit = METRICS_IS_OK, .of_link = true},
    {"master_last_io_seconds_ago", "redis_master_last_io_seconds_ago", METRICS_GAUGE,
     "Seconds since our master was heard last; -1: the link is down.", .of_link = true},
    {"master_sync_in_progress", "redis_master_sync_in_progress", METRICS_GAUGE,
     "1 while a snapshot of our master is received or loaded.", .of_link = true},
    {"slave_read_repl_offset", "redis_slave_read_repl_offset", METRICS_GAUGE,
     "Offset up to which the stream of our master has arrived.", .of_link = true},
    {"slave_repl_offset", "redis_slave_repl_offset", METRICS_GAUGE,
     "Offset up to which the stream of our master is applied.", .of_link = true},
    {"master_sync_total_bytes", "redis_master_sync_bytes", METRICS_GAUGE,
     "Bytes of the snapshot of our master; 0: not known.", .of_link = true},
    {"master_sync_read_bytes", "redis_master_sync_read_bytes", METRICS_GAUGE,
     "Bytes of the snapshot of our master that have arrived.", .of_link = true},
    {"master_sync_left_bytes", "redis_master_sync_left_bytes", METRICS_GAUGE,
     "Bytes of the snapshot of our master that are missing.", .of_link = true},
    {"master_sync_perc"},
    {"master_sync_last_io_seconds_ago", "redis_master_sync_last_io_seconds_ago", METRICS_GAUGE,
     "Seconds since bytes of the snapshot of our master arrived.", .of_link = true},
    {"master_link_down_since_seconds", "redis_master_link_down_since_seconds", METRICS_GAUGE,
     "Seconds since the link to our master went down; -1: it has not been up.", .of_link = true},
    {"slave_priority", "redis_slave_priority", METRICS_GAUGE,
     "The setting replica-priority, or 0 without a complete data set."},
    {"slave_read_only"},
    {"replica_announced", "redis_replica_announced", METRICS_GAUGE, "The setting replica-announced."},
    {"connected_slaves", "redis_connected_slaves", METRICS_GAUGE, "Replicas that are connected."},
    {"min_slaves_good_slaves", "redis_min_slaves_good_slaves", METRICS_GAUGE,
     "Replicas that min-replicas-to-write counts."},
    {"slave"},
    {"master_failover_state"},
    {"master_replid"},
    {"master_repl_offset", "redis_master_repl_offset", METRICS_GAUGE, "Offset of the end of the replication stream."},
    {"second_repl_offset", "redis_second_repl_offset", METRICS_GAUGE,
     "Offset up to which the second replication id is valid; -1: there is none."},
    {"repl_backlog_active", "redis_repl_backlog_is_active", METRICS_GAUGE, "1 if there is a replication backlog."},
    {"repl_backlog_size", "redis_replication_backlog_bytes", METRICS_GAUGE, "The setting repl-backlog-size."},
    {"repl_backlog_first_byte_offset", "redis_repl_backlog_first_byte_offset", METRICS_GAUGE,
     "Offset of the first byte in the backlog."},
    {"repl_backlog_histlen", "redis_repl_backlog_history_bytes", METRICS_GAUGE, "Bytes in the backlog."},
    {"key_hash_secret"},
    {"key_hash_fingerprint"},
    /* verification */
    {"verify_state"},
    {"verify_checks_sent", "lockstep_verify_checks_sent_total", METRICS_COUNTER,
     "Checks of the data set that were put into the replication stream."},
    {"verify_rounds_sent", "lockstep_verify_rounds_sent_total", METRICS_COUNTER,
     "Rounds of checks over the whole data set that were put into the replication stream."},
    {"verify_round_age_ms"},
    {"verify_last_round_ms", "lockstep_verify_last_round_seconds", METRICS_GAUGE,
     "How long the last round of checks took; -1: there was none.", .unit = METRICS_MILLISECONDS},
    {"verify_unnamed_values", "lockstep_verify_unnamed_values", METRICS_GAUGE,
     "Big values whose keys are too long for checks of their elements."},
    {"verify_sending_us", "lockstep_verify_sending_seconds_total", METRICS_COUNTER,
     "Time spent on checks for replicas.", .unit = METRICS_MICROSECONDS},
    {"verify_sending_max_us", "lockstep_verify_sending_max_seconds", METRICS_GAUGE, "The longest check for replicas.",
     .unit = METRICS_MICROSECONDS},
    {"verify_replica_state"},
    {"verify_checks", "lockstep_verify_checks_total", METRICS_COUNTER, "Checks of the master that were compared."},
    {"verify_skipped", "lockstep_verify_skipped_total", METRICS_COUNTER,
     "Checks of the master that could not be compared."},
    {"verify_mismatches", "lockstep_verify_mismatches_total", METRICS_COUNTER,
     "Checks in which our data differed from the master's."},
    {"verify_mismatch_offset"},
    {"verify_mismatch_range"},
    {"verify_rounds", "lockstep_verify_rounds_total", METRICS_COUNTER,
     "Rounds over the whole data set of which every check was compared."},
    {"verify_oldest_ms", "lockstep_verify_oldest_seconds", METRICS_GAUGE,
     "All data were compared with the master's later than so long ago; -1: not yet.", .unit = METRICS_MILLISECONDS},
    {"verify_checking_us", "lockstep_verify_checking_seconds_total", METRICS_COUNTER,
     "Time spent on checks of the master.", .unit = METRICS_MICROSECONDS},
    {"verify_checking_max_us", "lockstep_verify_checking_max_seconds", METRICS_GAUGE,
     "The longest check of the master.", .unit = METRICS_MICROSECONDS},
    /* CPU */
    {"used_cpu_sys", "redis_cpu_sys_seconds_total", METRICS_COUNTER, "Processor time in the kernel."},
    {"used_cpu_user", "redis_cpu_user_seconds_total", METRICS_COUNTER, "Processor time outside of the kernel."},
    {"used_cpu_sys_children", "redis_cpu_sys_children_seconds_total", METRICS_COUNTER,
     "Processor time in the kernel, of child processes that have ended."},
    {"used_cpu_user_children", "redis_cpu_user_children_seconds_total", METRICS_COUNTER,
     "Processor time outside of the kernel, of child processes that have ended."},
    {"used_cpu_sys_main_thread", "redis_cpu_sys_main_thread_seconds_total", METRICS_COUNTER,
     "Processor time in the kernel, of the main thread."},
    {"used_cpu_user_main_thread", "redis_cpu_user_main_thread_seconds_total", METRICS_COUNTER,
     "Processor time outside of the kernel, of the main thread."},
    /* TLS */
    {"tls_enabled", "lockstep_tls_enabled", METRICS_GAUGE, "1 if TLS is on."},
    {"tls_server_cert_not_after"},
    {"tls_client_cert_not_after"},
    {"tls_reloads", "lockstep_tls_reloads_total", METRICS_COUNTER,
     "Certificates that were taken up while the server ran."},
    {"tls_reload_failures", "lockstep_tls_reload_failures_total", METRICS_COUNTER,
     "Certificates that changed and were refused."},
    {"tls_files_refused", "lockstep_tls_files_refused", METRICS_GAUGE,
     "1 while changed certificates, keys or CA files cannot be used, and the old ones are."},
    {"tls_handshakes_running", "lockstep_tls_handshakes_running", METRICS_GAUGE, "Handshakes that have not ended."},
    {"tls_handshakes_completed", "lockstep_tls_handshakes_completed_total", METRICS_COUNTER,
     "Handshakes that succeeded."},
    {"tls_handshakes_resumed", "lockstep_tls_handshakes_resumed_total", METRICS_COUNTER,
     "Handshakes that resumed a session."},
    {"tls_handshakes_failed", "lockstep_tls_handshakes_failed_total", METRICS_COUNTER, "Handshakes that failed."},
    {"tls_handshakes_timed_out", "lockstep_tls_handshakes_timed_out_total", METRICS_COUNTER,
     "Handshakes that took too long."},
    {"tls_handshakes_refused", "lockstep_tls_handshakes_refused_total", METRICS_COUNTER,
     "Handshakes that were refused because there were too many."},
    /* debug */
    {"eventloop_duration_aof_sum", "redis_eventloop_duration_aof_seconds_total", METRICS_COUNTER,
     "Time that the main thread spent on the append-only file.", .unit = METRICS_MICROSECONDS},
    {"eventloop_duration_cron_sum", "redis_eventloop_duration_cron_seconds_total", METRICS_COUNTER,
     "Time of periodic tasks.", .unit = METRICS_MICROSECONDS},
    {"eventloop_duration_max", "redis_eventloop_duration_max_seconds", METRICS_GAUGE,
     "The longest turn of the event loop.", .unit = METRICS_MICROSECONDS},
    {"eventloop_cmd_per_cycle_max", "redis_eventloop_commands_per_cycle_max", METRICS_GAUGE,
     "The most commands in a turn of the event loop."},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

const struct bytes_view *metrics_sections(size_t *count)
{
    static const struct bytes_view sections[] = {
        {"server", 6},       {"clients", 7},       {"memory", 6}, {"persistence", 11}, {"stats", 5},
        {"replication", 11}, {"verification", 12}, {"cpu", 3},    {"tls", 3},          {"debug", 5},
    };
    *count = sizeof(sections) / sizeof(sections[0]);
    return sections;
}

static struct bytes_view without_number(struct bytes_view field)
{
    while (field.len > 0 && field.data[field.len - 1] >= '0' && field.data[field.len - 1] <= '9') field.len--;
    return field;
}

static bool is_row_of(size_t at, struct bytes_view field)
{
    return strncmp(rows[at].field, field.data, field.len) == 0 && rows[at].field[field.len] == '\0';
}

static const struct metrics_field *find(struct bytes_view field, size_t from)
{
    for (size_t i = 0; i < ROWS; i++) {
        size_t at = (from + i) % ROWS;
        if (is_row_of(at, field)) return &rows[at];
    }
    return NULL;
}

const struct metrics_field *metrics_field_find(struct bytes_view field, size_t from)
{
    const struct metrics_field *row = find(field, from);
    struct bytes_view plain = without_number(field);
    return row != NULL || plain.len == field.len ? row : find(plain, from);
}

/* A negative number says that there is nothing to tell, and stays as it is. */
static void write_time(const struct metrics_field *row, struct bytes_view labels, struct bytes_view text,
                       unsigned decimals, struct bytes_buf *out)
{
    uint64_t number;
    if (num_parse_u64(text, &number))
        metrics_decimal(out, row->name, labels, number, decimals);
    else
        metrics_verbatim(out, row->name, labels, text);
}

static void write_sample(const struct metrics_field *row, struct bytes_view link, struct bytes_view text,
                         struct bytes_buf *out)
{
    struct bytes_view labels = row->of_link ? link : METRICS_NO_LABELS;
    metrics_family(out, row->name, row->type, row->help);
    switch (row->unit) {
    case METRICS_AS_IT_IS: metrics_verbatim(out, row->name, labels, text); return;
    case METRICS_MILLISECONDS: write_time(row, labels, text, 3, out); return;
    case METRICS_MICROSECONDS: write_time(row, labels, text, 6, out); return;
    case METRICS_IS_OK:
        metrics_number(out, row->name, labels,
                       bytes_equal(text, BYTES_LIT("ok")) || bytes_equal(text, BYTES_LIT("up")));
        return;
    }
}

/* Returns the row behind those of the field. */
static size_t write_field(struct bytes_view field, struct bytes_view text, size_t from, struct bytes_view link,
                          struct bytes_buf *out)
{
    const struct metrics_field *row = metrics_field_find(field, from);
    if (row == NULL) return from;
    const char *name = row->field;
    for (; row < rows + ROWS && strcmp(row->field, name) == 0; row++)
        if (row->name != NULL) write_sample(row, link, text, out);
    return (size_t)(row - rows);
}

void metrics_write_fields(struct bytes_view info, struct bytes_view link, struct bytes_buf *out)
{
    size_t at = 0;
    const char *end;
    for (; (end = memchr(info.data, '\n', info.len)) != NULL;
         info.len -= (size_t)(end - info.data) + 1, info.data = end + 1) {
        struct bytes_view line = bytes_view(info.data, (size_t)(end - info.data));
        if (line.len > 0 && line.data[line.len - 1] == '\r') line.len--;
        const char *colon = memchr(line.data, ':', line.len);
        if (colon == NULL) continue;
        struct bytes_view field = bytes_view(line.data, (size_t)(colon - line.data));
        at = write_field(field, bytes_view(colon + 1, line.len - field.len - 1), at, link, out);
    }
}

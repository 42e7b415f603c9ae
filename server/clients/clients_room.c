#include "server/clients/clients_room.h"

#include "server/clients/client_part.h"
#include "server/clients/key_waits.h"
#include "server/clients/monitor.h"
#include "server/clients/multi.h"
#include "server/clients/pubsub.h"
#include "server/clients/session.h"
#include "server/clients/tracking.h"

static const struct client_part *const parts[] = {
    &blocking_part, &key_waits_part, &monitor_part, &multi_part, &pubsub_part, &tracking_part, &session_part, NULL,
};

struct clients *clients_room_new(const struct clients_uses *uses)
{
    struct clients *cs = clients_new(uses->core, parts);
    cs->config = uses->config;
    cs->commands = uses->commands;
    cs->users = uses->users;
    cs->acl_log = uses->acl_log;
    cs->blocking = blocking_new(cs, &uses->runner);
    cs->key_waits = key_waits_new(cs->core);
    cs->pubsub = pubsub_new(cs->core);
    cs->watches = watches_new(cs->core);
    cs->trackings = trackings_new(cs);
    return cs;
}

void clients_room_free(struct clients *cs)
{
    if (cs == NULL) return;
    clients_close_all(cs);
    trackings_free(cs->trackings);
    watches_free(cs->watches);
    pubsub_free(cs->pubsub);
    key_waits_free(cs->key_waits);
    blocking_free(cs->blocking);
    clients_free(cs);
}

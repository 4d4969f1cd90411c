/*
 * evt.h - what the files of the event service share.
 *
 * The agent has the queues of an Initialize, and what becomes of events when they are
 * full. Dispatching fetches one event after the other, and nothing is fetched at any
 * other time (openais-executive O3); meanwhile the agent says that there is one.
 *
 * Objects belong to an Initialize: channels, one for each time that a program opens
 * one, and events, which keep their channel's memory. A channel that is closed ends its
 * subscriptions and events; both may still be in use by who entered before.
 */
#ifndef AIS_EVT_H
#define AIS_EVT_H

#include "core.h"
#include "saEvt.h"

/* Limits of the service. */
enum { MAX_CHANNELS = 4096, MAX_PATTERNS = 64, MAX_PATTERN = 1024, RESERVED_ID = 1000 };

struct channel;
struct event;

/* An open that ran out of time, and is to be ended at the service. */
struct taking_back {
    struct request request;
    struct taking_back *next;
    uint32_t sub;
};

struct evt {
    struct ais ais;
    SaEvtCallbacksT callbacks;
    struct channel *channels; /* that are open, or about to be */
    uint32_t sub;             /* the last name that the service was given */
    bool primary;             /* this node is in the primary component, as far as it said */
    bool waits;               /* it has events */
    bool unsure;              /* or may have, and was not asked since */
    bool taking;              /* it is asked for one */
    struct request take;
    struct taking_back *backs; /* that wait to be sent */
};

/* evt.c */
static inline struct evt *evt_of(const struct object *o) { return (struct evt *)o->ais; }
/* Whether this node is in the primary component, as far as is known: TRY_AGAIN if not.
 * May let go of the lock. */
SaAisErrorT evt_primary(struct evt *h);
/* Drops what the program was not told yet of a channel. */
void drop_deliveries(struct channel *c);

/* evt_channel.c */
struct subscription {
    struct subscription *next;
    uint32_t sub; /* the service's name for it */
    SaEvtSubscriptionIdT id;
    bool ending;
};

struct channel {
    struct object object;
    struct channel *next;
    SaNameT name;
    SaEvtChannelOpenFlagsT flags;
    bool open;   /* the program was told, or is about to be */
    bool closed; /* for good */
    uint32_t sub;
    uint64_t number; /* of the channel among all that had the name */
    struct subscription *subscriptions;
    struct event *events; /* whose handles the program has */

    /* Opening. */
    struct request request;
    bool answered;
    SaAisErrorT error;
    bool async;
    SaInvocationT invocation;
    struct callback callback;
};

/* Sends what takes opens back, as far as the agent lets it come. */
void evt_tidy(struct ais *h);
/* Takes a channel that is open, like enter. */
struct channel *enter_channel(SaEvtChannelHandleT handle, SaAisErrorT *e);
/* Ends a channel and what belongs to it on this side; its names at the service are
 * the caller's to end. */
void end_channel(struct channel *c);
/* The channel of a subscription, or of an open. */
struct channel *find_subscription(struct evt *h, uint32_t sub, struct subscription **s);
struct channel *find_channel(struct evt *h, uint32_t sub);
void free_subscription(struct channel *c, struct subscription *s);

/* evt_subscribe.c */
/* The last check before a channel is used; may let go of the lock. */
SaAisErrorT channel_ready(const struct channel *c);

/* evt_event.c */
struct bytes {
    const uint8_t *data;
    uint32_t len;
};

struct event {
    struct object object;
    struct channel *channel;
    struct event **link, *next; /* in its channel, while it has a handle */
    bool received;
    SaEvtEventPriorityT priority;
    SaTimeT retention, published;
    SaNameT publisher;
    SaEvtEventIdT id;
    uint32_t num_patterns;
    struct bytes *patterns; /* one piece of memory, or views of body */
    struct bytes data;
    uint8_t *body;
};

/* Whether the memory of a pattern is there. */
bool right_pattern(const SaEvtEventPatternT *p);
/* An event without a handle; NULL: no memory. */
struct event *new_event(struct channel *c);
/* One that never had one. */
void free_event(struct event *e);
/* Gives it a handle; false: no memory. */
bool list_event(struct event *e);
/* Takes the handle away. */
void end_event(struct event *e);
/* Reads a message, behind the name of its subscription, in the event's body. False: it
 * makes no sense, or there is no memory. */
bool read_event(struct event *e, struct reader *r);
/* Makes it one that says that others were lost; false: no memory. */
bool make_lost(struct event *e);

#endif

/*
 * core.h - what the libraries of the AIS services share: handles, the connection of
 * each Initialize with the event service, requests, and callbacks.
 *
 * Locks: everything of a struct ais and of the objects that belong to it is guarded
 * by the lock of its connection; functions of the interface hold it, and a
 * reference, between enter and leave. The lock of the table, taken after it, guards
 * which handles there are and the references. Callbacks run with neither lock. Those
 * of one Initialize run one after the other, in the order in which they were queued.
 *
 * Nobody reads in the background: whoever waits for an answer or dispatches reads for
 * all (capi/native).
 *
 * Cancellation: between enter and leave, and so in callbacks too, threads cannot be
 * cancelled, but for those that wait in a blocking dispatch.
 *
 * fork: a child has none of its parent's handles. In a callback that forks, the
 * child's dispatch returns BAD_HANDLE.
 */
#ifndef AIS_CORE_H
#define AIS_CORE_H

#include "native.h"
#include "saAis.h"
#include "wire.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#define PUBLIC __attribute__((visibility("default")))

enum { EVENTS = 12 }; /* the service of the agent */

/* Calls of the service (docs/protocols/events.md). */
enum {
    CALL_OPEN,
    CALL_GRANT,
    CALL_REGISTER,
    CALL_SUBSCRIBE,
    CALL_END,
    CALL_PUBLISH,
    CALL_CREATE,
    CALL_DELETE,
    CALL_CLEAR,
    CALL_ENTER,
    CALL_UNLINK,
    CALL_DESCRIBE,
    CALL_LIST,
    CALL_STATUS,
    CALL_RECALL,
    CALL_TAKE
};

/* What it tells. */
enum { EVENT_FACT = 1, EVENT_LINK, EVENT_ENTRY, EVENT_MESSAGE, EVENT_LOST, EVENT_END, EVENT_NEWS };

struct ais;

/* What programs have a handle of: an Initialize, or something that belongs to one. */
struct object {
    uint64_t id;
    uint8_t kind; /* a handle of one kind is not one of another, in whatever library */
    int refs;
    struct ais *ais;                /* an Initialize is its own */
    void (*free)(struct object *o); /* with the last reference, and with or without the lock */
    struct object *next;
};

/* Kinds of objects. */
enum { KIND_CLM = 1, KIND_EVT, KIND_EVT_CHANNEL, KIND_EVT_EVENT };

/* What waits to be told. Queued, it is the queue's; it ends with run or drop. */
struct callback {
    struct callback *next;
    uint64_t number;
    void (*run)(struct callback *c);  /* calls the program and frees c; without locks */
    void (*drop)(struct callback *c); /* frees c; with the lock */
};

/* A service on top. */
struct ais_service {
    uint8_t kind;
    SaVersionT version;
    uint32_t window; /* events that the agent sends before it is asked */
    bool ranked;     /* by priority */
    /* Looks at an event that arrives, with the lock; must not wait. It is not kept:
     * what is to be told of it is queued as a callback. False: it makes no sense. */
    bool (*arrived)(struct ais *h, const struct native_event *e);
    /* May be NULL. Whether fetch would queue something. */
    bool (*more)(const struct ais *h);
    /* May be NULL. Queues a callback of what waits elsewhere, when all that was queued
     * has been told; false: nothing waits. May let go of the lock. */
    bool (*fetch)(struct ais *h);
    /* May be NULL. Does what arrived could not because it may wait, and lets go of the lock for
     * that: in each dispatch, and before it waits. */
    void (*tidy)(struct ais *h);
    /* Frees h, which has no connection any more. */
    void (*free)(struct ais *h);
};

/* An Initialize. Services have it as the first member of their own. */
struct ais {
    struct object object;
    const struct ais_service *service;
    struct native *native;
    pid_t pid;
    uint32_t self; /* the node */
    bool finalized;
    struct callback *first, **last;
    uint64_t queued;  /* the number of the last one */
    pthread_t runner; /* of callbacks, if depth is not zero */
    unsigned depth;
};

/* handle.c: the table. */

/* Gives an object a handle. It has one reference, the table's, and one of its struct
 * ais, unless it is that. False: no memory. */
bool object_list(struct object *o);
/* Takes the handle away, and the table's reference. False: somebody did before. */
bool object_end(struct object *o);
/* Ends all that belongs to h, but for h. */
void object_end_all(const struct ais *h);
void object_ref(struct object *o);
void object_unref(struct object *o);
/* Takes an object with a reference and the lock; NULL and *e: there is none. */
struct object *enter(uint8_t kind, uint64_t handle, SaAisErrorT *e);
/* Releases what enter took, and hands e through. */
SaAisErrorT leave(struct object *o, SaAisErrorT e);
/* Keep the thread from being cancelled in between. They do nothing in callbacks. */
void shield(void);
void unshield(void);
int cancel_state(void); /* outside of the library */

/* open.c: the life of a struct ais. */

/* Whether the wanted version can be served (openais-executive 5.3). *v becomes what is
 * supported, in either case. */
SaAisErrorT ais_agree(SaVersionT *v, const SaVersionT *supported);
/* Connects h, which is zero, and gives it a handle: h->object.id. On failure it is
 * freed. TRY_AGAIN: there is no agent, or it is not in the primary component. */
SaAisErrorT ais_open(struct ais *h, const struct ais_service *service);
SaAisErrorT ais_selection_object(uint8_t kind, uint64_t handle, SaSelectionObjectT *out);
SaAisErrorT ais_finalize(uint8_t kind, uint64_t handle);

/* dispatch.c: callbacks. With the lock, but for ais_dispatch. */
SaAisErrorT ais_dispatch(uint8_t kind, uint64_t handle, SaDispatchFlagsT flags);
void ais_queue(struct ais *h, struct callback *c);
/* Drops the callbacks that wait for which match is true. */
void ais_drop(struct ais *h, bool (*match)(const struct callback *c, const void *arg), const void *arg);
bool ais_lit(const struct ais *h);
bool inside_callback(void);

/* call.c: requests, with the lock. They let go of it while they wait. */

/* When a time limit is over: *t, or NULL for never. False: it is over now. */
bool ais_deadline(SaTimeT limit, struct timespec *t, const struct timespec **deadline);
/* Waits until something has changed; false: the deadline has passed. */
bool ais_wait(struct ais *h, const struct timespec *deadline);
/* Has the service do something; w is freed. With a, the answer's body is the caller's
 * to free, if it is OK. TIMEOUT: it may happen still. */
SaAisErrorT ais_call(struct ais *h, uint16_t function, struct writer *w, const struct timespec *deadline, struct native_answer *a);
/* Tells the service something that it does not answer; w is freed. */
SaAisErrorT ais_cast(struct ais *h, uint16_t function, struct writer *w);
/* Lets the service send so many more events. */
SaAisErrorT ais_grant(struct ais *h, uint32_t n);
/* Ends a registration or a subscription, also one that has ended. */
SaAisErrorT ais_end(struct ais *h, uint32_t sub);
/* Reads the membership of the primary component; a is the caller's to free. TRY_AGAIN:
 * this node is not in it. */
SaAisErrorT ais_status(struct ais *h, const struct timespec *deadline, struct native_answer *a);

/* A request that nobody waits for, or not for ever. It is the caller's memory until it
 * is answered, which happens once, with the lock; the function must not wait, and
 * frees a->body. NULL: the connection has ended. */
struct request {
    struct native_request native;
    void (*answered)(struct request *q, SaAisErrorT e, struct native_answer *a);
};
/* Sends it; w is freed. On failure it is never answered. TIMEOUT: it was not sent. */
SaAisErrorT ais_begin(struct ais *h, struct request *q, uint16_t function, struct writer *w, const struct timespec *deadline);
/* Sends it without waiting. TRY_AGAIN: the agent lets no more come now. */
SaAisErrorT ais_try(struct ais *h, struct request *q, uint16_t function, struct writer *w);

#endif

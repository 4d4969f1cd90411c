/*
 * native.h - a client of the agent's native door (docs/protocols/native.md): one
 * socket with one connection to one service.
 *
 * Threads: every function but native_open, native_lock, native_ref, native_unref
 * and native_abandon is called with the lock held. The library on top keeps its own
 * state under the same lock. native_call, native_cast, native_wait, native_idle,
 * native_pump, native_done and native_drop may let go of it while they wait, but not
 * to say that memory lacks. Nobody reads in the background: whoever waits for
 * something reads for all.
 *
 * Memory: events are the queue's until native_take, then the taker's until
 * native_done. At most the window, and one event more, waits.
 *
 * Cancellation: callers keep it disabled. native_idle alone lets it happen.
 *
 * fork: the child must not use the client, but for native_abandon.
 */
#ifndef MOOT_NATIVE_H
#define MOOT_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct native;

/* What the service tells its client. */
struct native_event {
    struct native_event *next;
    uint64_t number; /* rises in the order of arrival */
    uint32_t size;   /* what credit counts */
    uint16_t kind;
    uint32_t len;
    uint8_t body[];
};

/* What becomes of an event that arrives. */
enum native_verdict { NATIVE_KEEP, NATIVE_DROP, NATIVE_MALFORMED };

struct native_config {
    uint16_t service;
    uint32_t window; /* bytes of events that may wait */
    void *user;      /* for the functions below */
    /* Looks at an event that arrives. Must not wait. */
    enum native_verdict (*arrived)(void *user, const struct native_event *e);
    /* Whether an event may be taken now. Must not wait. Not asked if none is kept. */
    bool (*ready)(void *user, const struct native_event *e);
    /* May be NULL. Whether the library on top has something of its own to give. */
    bool (*more)(void *user);
};

/* Outcomes. */
enum native_error {
    NATIVE_OK,
    NATIVE_MEMORY,  /* no memory */
    NATIVE_SOCKET,  /* there is no socket to be had */
    NATIVE_SETUP,   /* nor what belongs to it */
    NATIVE_CONNECT, /* no agent, or it refuses; the code tells more */
    NATIVE_ENDED,   /* the connection has ended */
    NATIVE_LATE     /* the time is over, and nothing was sent */
};

/* Codes of the door and its services that libraries act upon. */
enum { NATIVE_CODE_OK = 1, NATIVE_CODE_AGAIN = 6, NATIVE_CODE_NO_MEMORY = 8, NATIVE_CODE_NO_RESOURCES = 18 };

struct native_answer {
    uint16_t code;
    uint32_t len;
    uint8_t *body; /* to be freed; NULL if empty */
};

/* A request under way: the caller's memory until it is answered. */
struct native_request {
    struct native_request *next;
    uint32_t number;
    /* Called once, with the lock; must not wait. NULL: the connection has ended. Else
     * the body becomes the function's. */
    void (*answered)(struct native_request *q, struct native_answer *a);
};

/* Connects to the agent that the environment names, greets it and opens the service.
 * The caller owns one reference. With NATIVE_CONNECT *code is why the agent refuses,
 * or zero. */
enum native_error native_open(struct native **n, const struct native_config *config, uint16_t *code);
void native_ref(struct native *n);
void native_unref(struct native *n);

void native_lock(struct native *n);
void native_unlock(struct native *n);

/* Readable whenever native_take would give something, there is more, or the connection
 * has ended. */
int native_descriptor(const struct native *n);

/* Sends a request and waits for its answer. */
enum native_error native_call(struct native *n, uint16_t function, const void *body, size_t len, struct native_answer *a);
/* Sends a request and does not wait for its answer. On failure there is none. The agent
 * has to let requests come: until then, or until the deadline by CLOCK_MONOTONIC, it
 * waits; NULL: for ever. */
enum native_error native_begin(struct native *n, struct native_request *q, uint16_t function, const void *body, size_t len,
                               const struct timespec *deadline);
/* Sends a request without an answer; tag is below 2^63. */
enum native_error native_cast(struct native *n, uint16_t function, uint64_t tag, const void *body, size_t len);

/* Reads what is there, without waiting for more. */
void native_pump(struct native *n);
/* Waits until something has changed: with for_events, while no event is ready. */
void native_wait(struct native *n, bool for_events);
/* Waits until something has changed, or until then by CLOCK_MONOTONIC; NULL: for ever.
 * False: the time is over. */
bool native_wait_until(struct native *n, const struct timespec *deadline);
/* Waits while no event is ready, with cancellation in this state. Who is cancelled has
 * the lock when its cleanup handlers run. */
void native_idle(struct native *n, int cancel);
/* Tells those that wait, and the descriptor, that something of theirs may have
 * changed. */
void native_changed(struct native *n);

/* The number of the event that arrived last. */
uint64_t native_newest(const struct native *n);
/* Takes the first event that is ready, if its number is at most that; else NULL. */
struct native_event *native_take(struct native *n, uint64_t newest);
/* Whether nothing waits to be taken, ready or not. */
bool native_empty(const struct native *n);
/* Ends the use of an event that was taken. */
void native_done(struct native *n, struct native_event *e);
/* Drops the waiting events for which match is true. */
void native_drop(struct native *n, bool (*match)(const void *arg, const struct native_event *e), const void *arg);

/* Ends the connection. */
void native_end(struct native *n);
bool native_ended(const struct native *n);
/* In a forked child: lets go of what it inherited, and of nothing that is the
 * parent's. */
void native_abandon(struct native *n);

#endif

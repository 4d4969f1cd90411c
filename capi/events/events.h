/*
 * events.h - what the faces of the cluster event library share: connections with
 * the event service, and the records that programs have.
 *
 * Each registration, subscription or token has a struct handle with a connection of
 * its own. Two locks: that of the connection guards the events and what is counted
 * of them; that of the table, taken after it, guards which handles and records there
 * are. Callbacks run with neither, but in the handle's turn.
 *
 * A thread for each handle reads, and keeps the program's descriptor readable while
 * something waits: the program may want a signal for it, and poll for its end.
 *
 * Threads cannot be cancelled within the library, and so in callbacks, for they would
 * leave locks behind. They can where they wait for events.
 */
#ifndef EVENTS_H
#define EVENTS_H

#include "native.h"
#include "wire.h"

#include <pthread.h>
#include <sys/types.h>

#define PUBLIC __attribute__((visibility("default")))
/* Shows a function by another name and version, too. */
#define VERSION(function, name) __asm__(".symver " #function "," #name)

/* Begins a function of the program's: cancellation is off up to its end, and cancel is
 * how the program has it. */
#define SHIELD __attribute__((cleanup(unshield))) int cancel = shield()
int shield(void);
void unshield(const int *cancel);

enum {
    SERVICE = 12,
    WINDOW = 1 << 20, /* bytes of events that may wait here */
    MAX_NAME = 127,
    MAX_DATA = 64 << 10,
    SUB = 1 /* the one registration of a connection */
};

/* Calls of the service. */
enum { CALL_OPEN, CALL_GRANT, CALL_REGISTER, CALL_SUBSCRIBE, CALL_END, CALL_PUBLISH };

/* Events of the service. */
enum { EVENT_FACT = 1, EVENT_LINK, EVENT_ENTRY, EVENT_MESSAGE, EVENT_LOST, EVENT_END };

/* Classes of the service, with the numbers of the drafts. */
enum { CLASS_CONN = 1, CLASS_MEMB, CLASS_GROUP };

/* Kinds of facts. */
enum { FACT_NEW = 1, FACT_NOT_PRIMARY, FACT_RESTORED, FACT_EVICTED, FACT_NO_QUORUM };

/* Reasons of an end. */
enum { END_THROWN = 2 };

enum face { FACE_02, FACE_03, FACE_04 };

/* A function of the program; its face knows the type. */
typedef void any_fn(void);

struct handle {
    struct handle *next;
    enum face face;
    int id; /* by which the face finds it */
    pid_t pid;
    int refs;         /* these four with the table's lock */
    bool listed;
    bool ready, dark; /* as the descriptor shows */
    bool running;     /* its callback, in oc_ev_handle_events */

    struct native *native;
    pthread_t reader;
    bool reading;
    pthread_mutex_t turn; /* of who runs a callback; a thread may take it again */
    bool telling;         /* a callback runs; with the turn */
    any_fn *fn;
    char topic[MAX_NAME + 1];
    uint32_t self, configured;

    int fd;          /* the program's */
    int watch, lamp; /* the same socket again, and its other end */

    uint32_t given, most; /* events that are not done, and how many may be while more are shown; the connection's lock */
    bool over;            /* nothing more comes */
    bool closed;          /* by the program */
    uint32_t links;       /* records of a class told so far */
};

/* handle.c */

/* Connects; most may be given at a time, and the agent sends window ahead. The handle
 * is the caller's alone. 0 or an error number. */
int handle_open(enum face face, uint32_t window, uint32_t most, struct handle **out);
/* Asks the service; w is freed. 0 or an error number. */
int handle_call(struct handle *h, uint16_t function, struct writer *w);
/* Lists the handle, by its descriptor or, with an id of its own, the smallest that is
 * free; and starts to read. On failure it is freed. */
int handle_start(struct handle *h);
/* Takes a reference; NULL: unknown in this process. */
struct handle *handle_find(enum face face, int id);
void handle_ref(struct handle *h);
void handle_unref(struct handle *h);
/* Ends what is connected: the caller has a reference. False: somebody did before. */
bool handle_close(struct handle *h);
/* Whether nothing comes any more. With the connection's lock, as the next ones. */
bool handle_ended(const struct handle *h);
/* Has the descriptor show what is so; anew: even if it does already. */
void handle_show(struct handle *h, bool anew);
/* Lets the service send so many more. */
void handle_grant(struct handle *h, uint32_t n);

/* Callbacks of a handle run in its turn; false: this thread is in one of it already. */
bool turn_begin(struct handle *h);
void turn_end(struct handle *h);
/* Around a callback, in the turn. */
void callback_begin(struct handle *h);
void callback_end(struct handle *h);
/* A lock that a thread may take again. */
void again_lock_init(pthread_mutex_t *m);

/* The lock and the news of the table: changes of what is listed, ready, dark or
 * running. */
void table_lock(void);
void table_unlock(void);
/* With cancellation in that state; without the lock if the thread is cancelled. */
void table_wait(int cancel);
void table_changed(void);
struct handle *table_first(void);

/* record.c: memory that programs hold until they say that it is done. */
struct record {
    struct record *next;
    struct handle *handle;
    _Alignas(16) uint8_t data[];
};
struct record *record_new(size_t size);
/* The program has it now; the handle counts it. */
void record_give(struct record *r, struct handle *h);
/* 0, or EINVAL: this process has no such record. */
int record_done(const void *data);

/* told.c: what the service tells, as views of the event. */
struct member {
    uint32_t id, born, since;
    const uint8_t *name;
    uint32_t len;
};
struct list {
    struct member *member;
    uint32_t n;
};
struct fact {
    uint8_t kind;
    uint32_t seq, trans;
    struct list members, in, out;
};
struct message {
    const uint8_t *topic, *data;
    uint32_t topic_len, data_len;
    uint64_t seq;
    uint32_t node, pid, re;
};
/* False: it makes no sense, or there is no memory. What was read is to be freed. */
bool read_fact(const struct native_event *e, struct fact *f);
void free_fact(struct fact *f);
bool read_message(const struct native_event *e, struct message *m);
/* The number of an event as programs see it. */
int32_t message_number(uint64_t seq);
uint8_t read_why(const struct native_event *e);

/* record03.c: a record of draft 0.3 behind so many bytes; NULL as above, and
 * with *skip: it is nothing for that draft. */
struct record *record_03(const struct native_event *e, size_t front, bool *skip);

/* register.c */
bool right_name(const char *name);
/* Registers for a class or a group. ECONNREFUSED: the agent is about to end. */
int call_register(struct handle *h, const char *name, bool special);
/* Subscribes to a topic; the same holds. */
int call_subscribe(struct handle *h, const char *topic);
int code_error(uint16_t code);

#endif

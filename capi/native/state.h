/* state.h - what the files of this directory share. */
#ifndef MOOT_STATE_H
#define MOOT_STATE_H

#include "native.h"
#include "wire.h"

#include <pthread.h>
#include <sys/stat.h>

enum {
    HEADER_LEN = 8,
    MAX_PACKET = 131072,   /* what we take */
    MAX_MESSAGE = 1114112, /* likewise */
    MIN_PACKET = 1024,     /* what the agent has to take */
    CREDIT_LATEST = 262144 /* bytes of events after which the agent is told at the latest */
};

enum kind {
    KIND_HELLO = 1,
    KIND_WELCOME,
    KIND_OPEN,
    KIND_OPENED,
    KIND_CALL,
    KIND_ANSWER,
    KIND_CAST,
    KIND_EVENT,
    KIND_CREDIT,
    KIND_CLOSE,
    KIND_CLOSED,
    KIND_PART
};

/* The number of the one connection. */
enum { CONNECTION = 1 };

struct native {
    struct native_config config;
    pthread_mutex_t lock;
    pthread_cond_t change;
    int refs;

    int socket, wakeup, descriptor; /* an epoll of the two before */
    int kick;                       /* wakes who waits on the socket */
    struct stat identity;           /* of the socket */
    bool lit;                       /* wakeup is readable */
    bool polling;                   /* somebody waits on the socket for all */
    bool writing;                   /* somebody sends the packets of one message */
    bool open, ended;
    uint16_t code; /* with which the agent ended it */

    uint32_t agent_packet, agent_message;
    int64_t grant, credit; /* of requests: at the start, and left */
    int64_t window;        /* what is left for events */
    uint32_t due, taken;   /* bytes and number of events that the agent does not know to be taken */

    uint32_t last_call;
    struct native_request *calls;

    struct native_event *first, **last;
    uint64_t newest;

    uint8_t *whole; /* a message in parts */
    uint32_t total, got;
    uint8_t packet[MAX_PACKET];
};

/* What a packet has in front of a message. */
void put_header(struct writer *w, size_t size, enum kind kind, uint16_t connection);
/* Sends one packet, waiting for room. With the lock held. */
enum native_error send_packet(struct native *n, const void *data, size_t len, const struct timespec *deadline);
/* Sends one message, in parts if need be: what has begun goes on beyond the deadline.
 * With the lock held. */
enum native_error send_message(struct native *n, const void *data, size_t len, const struct timespec *deadline);
/* Takes what the socket has. With the lock held. */
void receive(struct native *n);
void fail(struct native *n, uint16_t code);

/* Connects and greets. */
enum native_error dial(struct native *n, uint16_t *code);

/* Queues an event that arrived; false: the agent breaks the rules, or there is no
 * memory. */
bool queue_event(struct native *n, struct reader *r, uint32_t size);
/* Tells the agent what was taken, if it is time. */
void settle(struct native *n);
/* Has the descriptor show whether something is ready. */
void show(struct native *n);

#endif

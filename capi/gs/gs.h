/*
 * gs.h - what the files of the library share.
 *
 * There is one struct gs for each successful ha_gs_init. Its lock is that of its
 * connection, and everything in it is guarded by that lock. Functions that use it
 * stand between enter and leave, which hold a reference and the lock.
 *
 * Between them, and so in callbacks too, threads cannot be cancelled, for they would
 * leave the lock or a group in use; but for those that wait for events.
 */
#ifndef GS_H
#define GS_H

#include "ha_gs.h"
#include "native.h"
#include "wire.h"

#include <pthread.h>
#include <sys/types.h>

#define PUBLIC __attribute__((visibility("default")))

enum {
    SERVICE = 11,
    WINDOW = 1 << 20, /* bytes of notifications that may wait here */
    MAX_TOKENS = 256,
    MAX_PROVIDERS = 4096,
    MAX_SCRIPT = 4096,
    MAX_DOMAIN = 255,
    MAX_NAME = HA_GS_MAX_GROUP_NAME_LENGTH,
    NOBODY = -1
};

/* Calls of the service. */
enum {
    CALL_HELLO = 1,
    CALL_JOIN = 3,
    CALL_LEAVE,
    CALL_EXPEL,
    CALL_STATE,
    CALL_ATTRIBUTES,
    CALL_MESSAGE,
    CALL_VOTE,
    CALL_GOODBYE,
    CALL_SUBSCRIBE,
    CALL_UNSUBSCRIBE,
    CALL_RESPONSE
};

/* Events of the service. */
enum {
    EVENT_N_PHASE = 20,
    EVENT_APPROVED,
    EVENT_REJECTED,
    EVENT_ANNOUNCEMENT,
    EVENT_SUBSCRIPTION,
    EVENT_DELAYED_ERROR,
    EVENT_CHECK,
    EVENT_ADAPTERS,
    EVENT_FFDC
};

/* A group of which this process has roles. Callbacks of one group run one after the
 * other, so that subscribers are told after providers. */
struct group {
    struct group *next;
    char name[MAX_NAME + 1];
    int refs;
    bool busy; /* a callback runs */
};

enum role_state {
    JOINING, /* the program was not told that it is a member */
    MEMBER,
    LEAVING, /* goodbye or unsubscribe is under way: no callback starts */
    ENDED    /* its last callback runs */
};

/* What a token stands for. */
struct role {
    int refs;
    ha_gs_token_t token;
    bool taken; /* the token is still this role's */
    bool provider;
    enum role_state state;
    struct group *group;
    bool running; /* one of its callbacks */

    ha_gs_provider_t self;
    char source[MAX_NAME + 1];
    bool open;     /* a protocol whose end it was not told */
    bool asked;    /* for a vote in the phase below */
    uint64_t seq;  /* of that protocol */
    uint32_t phase;
    ha_gs_request_t proposed; /* its own proposal without an answer; HA_GS_RESPONSIVENESS: none */

    ha_gs_proposal_info_t *join;     /* copy of the join or subscribe request */
    ha_gs_proposal_info_t *proposal; /* copy of the own proposal */
};

struct gs {
    struct native *native;
    pid_t pid;
    int refs;
    bool quit;
    struct gs *inherited; /* the next one of those that a forked child does not use */

    short node;
    bool wants_adapters;
    ha_gs_responsiveness_t responsiveness;
    ha_gs_responsiveness_cb_t *on_responsiveness;
    ha_gs_delayed_error_cb_t *on_delayed_error;

    struct role *roles[MAX_TOKENS];
    struct group *groups;
    bool mourning, mourned; /* the end of the agent is being told, or was */

    uint32_t check;     /* the last one */
    bool checking;      /* its event waits for the callback */
    uint64_t counter;   /* as it was seen last */
    bool moved;         /* it has, and the check is to be answered */
    struct adapter *adapters;
    uint32_t num_adapters;
};

/* An address that some node has. */
struct adapter {
    uint8_t address[16]; /* IPv4 addresses as ::ffff:a.b.c.d */
    short node;
    char interface[64 + 1];
};

/* init.c: the one connection of a process. */

/* Takes the connection with its lock; alive: only if it has not ended. On failure
 * *rc says why. */
struct gs *enter(bool alive, ha_gs_rc_t *rc);
/* Releases what enter took, and hands rc through. */
ha_gs_rc_t leave(struct gs *g, ha_gs_rc_t rc);
/* Keep the thread from being cancelled in between. They do nothing in callbacks. */
void shield(void);
void unshield(void);
/* Waits for events; here it can be cancelled, with the lock. */
void idle(struct gs *g);
/* Takes another reference, and gives it back without the lock. */
void hold(struct gs *g);
void release(struct gs *g);
/* The connection is lost and everybody was told. */
void lost(struct gs *g);
/* Keeps what the agent said of its end. */
void keep_ffdc(const uint8_t *id, uint32_t len);

/* roles.c: tokens. */

/* A role with the smallest free token; NULL and *rc: there is none. */
struct role *add_role(struct gs *g, const char *group, bool provider, ha_gs_rc_t *rc);
struct role *find_role(const struct gs *g, ha_gs_token_t token, bool provider);
/* Frees the token. */
void end_role(struct gs *g, struct role *r);
void hold_role(struct role *r);
void release_role(struct gs *g, struct role *r);
void release_group(struct gs *g, struct group *group);
/* Drops the events that wait for a token. */
void drop_events(struct gs *g, ha_gs_token_t token);
/* The token that an event is for; NOBODY: none. */
ha_gs_token_t event_token(const struct native_event *e);

/* call.c: requests to the agent. */

/* Has the service do something, trying again as long as it asks for that. */
ha_gs_rc_t call(struct gs *g, uint16_t function, struct writer *w);
/* The same; the answer, of which the code was read, is the caller's to free. */
ha_gs_rc_t ask(struct gs *g, uint16_t function, struct writer *w, struct native_answer *a);
/* Tells the service something that it does not answer. */
ha_gs_rc_t cast(struct gs *g, uint16_t function, struct writer *w);

/* copy.c: deep copies of requests, each in one piece of memory. */
ha_gs_proposal_info_t *copy_request(ha_gs_request_t kind, const ha_gs_proposal_info_t *info);

/* check.c: what can be said of a request without the agent. */
ha_gs_rc_t check_name(const char *name, ha_gs_rc_t missing);
bool system_group(const char *name);
ha_gs_rc_t check_phases(ha_gs_num_phases_t phases, ha_gs_time_limit_t limit);
/* The limit of reflections; 0 where none is looked at. */
ha_gs_time_limit_t reflection_limit(const ha_gs_group_attributes_t *a);
ha_gs_rc_t check_attributes(const ha_gs_group_attributes_t *a);
ha_gs_rc_t check_join(const ha_gs_join_request_t *q);
ha_gs_rc_t check_state(const ha_gs_state_value_t *v);
ha_gs_rc_t check_message(const ha_gs_provider_message_t *m);
ha_gs_rc_t check_expel(const ha_gs_expel_request_t *q);
ha_gs_rc_t check_subscribe(const ha_gs_subscribe_request_t *q);

/* decode.c: the blocks that callbacks are given. Each is one piece of memory, to be
 * freed; NULL: the agent's bytes make no sense, or there is no memory. */
struct notification {
    union {
        ha_gs_n_phase_notification_t n_phase;
        ha_gs_approved_notification_t approved;
        ha_gs_rejected_notification_t rejected;
    } block;
    uint64_t seq;
    ha_gs_proposal_t proposal;
    ha_gs_membership_t current, changing;
    ha_gs_leave_array_t leaves;
    ha_gs_expel_info_t expel;
    ha_gs_state_value_t state, proposed, source;
    ha_gs_provider_message_t message;
    ha_gs_group_attributes_t attributes;
};
struct notification *decode_notification(const struct native_event *e, const struct role *r);

struct announcement {
    ha_gs_announcement_notification_t block;
    ha_gs_membership_t list;
    bool ends;
};
struct announcement *decode_announcement(const struct native_event *e);

struct subscription {
    ha_gs_subscription_notification_t block;
    ha_gs_state_value_t state;
    ha_gs_membership_t full, changing;
    ha_gs_special_data_t special;
    bool ends;
};
struct subscription *decode_subscription(const struct native_event *e);

struct delayed_error {
    ha_gs_delayed_error_notification_t block;
    ha_gs_membership_t list;
    bool ends;
};
struct delayed_error *decode_delayed_error(const struct native_event *e);

/* adapter.c: the table of addresses. */
bool take_adapters(struct gs *g, const struct native_event *e);

/* counter.c: the responsiveness of a process that keeps a counter. */

/* Whether the counter moved since the check before. If so, the check is answered. */
bool counter_moved(struct gs *g);
void answer_check(struct gs *g, uint32_t check, bool ok);
/* Starts the thread that answers checks while the counter moves, whether the program
 * dispatches or not. */
bool watch_counter(struct gs *g);

/* dispatch.c: callbacks. */
enum native_verdict event_arrived(void *user, const struct native_event *e);
bool event_ready(void *user, const struct native_event *e);
/* Whether this thread runs a callback, of that role if it is not NULL. */
bool in_callback(const struct gs *g, const struct role *r);
/* The same for any, and for one that forked this process. */
bool inside_callback(void);

#endif

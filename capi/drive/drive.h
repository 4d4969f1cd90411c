/* What the parts of drive share: see drive.c. */
#ifndef DRIVE_H
#define DRIVE_H

#include "ha_gs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { WORDS = 64, TOKENS = 512, ROLES = 512, PLANS = 64, LINE = 8192 };

/* ---------- words.c: text, and the words of a command ---------- */

struct text {
    size_t len;
    char   s[LINE];
};

void        die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void        add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *code(ha_gs_rc_t rc);
int         split(char *s, const char *sep, char **w);
bool        has(char **w, int n, const char *word);
const char *value_of(char **w, int n, const char *key);
int         number_of(char **w, int n, const char *key, int otherwise);
char       *expand(const char *word, char *out, size_t size);

/* ---------- told.c: what is known, and what is said of it ---------- */

struct role {
    char name[64];
    int  token;
    bool provider;
    bool slow;
    int  plans, next;
    char plan[PLANS][128];
};

enum answers { ANSWER_OK, ANSWER_BAD, ANSWER_STALL };

/* What all threads share. */
extern struct shared {
    pthread_mutex_t mu; /* guards what follows */
    pthread_cond_t  moved;
    struct role    *of_token[TOKENS];
    char            last_request[TOKENS][LINE]; /* described */
    bool            quiet, blind;
    char            on_kind[16], on_command[256];
    enum answers    answers;
    int             fence; /* token; -1: none */
    bool            fence_joined;
    bool            running; /* the dispatching thread */
} all;

extern int                    threads; /* that dispatch blocking; 0: one that does not */
extern bool                   tagged; /* lines begin with their role */
extern ha_gs_responsiveness_t control;
extern atomic_int             checks;

struct role *role_named(const char *name); /* with all.mu */
void         say(char kind, const char *text);
void         tell(char kind, int token, bool may_end, const char *text);
void         flush(void);

/* ---------- callbacks.c ---------- */

extern ha_gs_n_phase_cb_t        on_phase;
extern ha_gs_approved_cb_t       on_approved;
extern ha_gs_rejected_cb_t       on_rejected;
extern ha_gs_announcement_cb_t   on_announcement;
extern ha_gs_subscriber_cb_t     on_subscription;
extern ha_gs_delayed_error_cb_t  on_delayed_error;
extern ha_gs_responsiveness_cb_t on_check;

void describe(struct text *t, ha_gs_request_t kind, const ha_gs_proposal_info_t *q);

/* ---------- drive.c, propose.c ---------- */

void        command(char *line, struct text *answer);
ha_gs_rc_t  cast(int token, char **w, int n);
ha_gs_rc_t  join(char **w, int n, int *token);
ha_gs_rc_t  subscribe(char **w, int n, int *token);
ha_gs_rc_t  request(int token, char **w, int n);
extern char suffix[40]; /* of groups' names */

#endif

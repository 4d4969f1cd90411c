/*
 * drive - a program of Group Services that does what it is told, for tests.
 *
 * A line on standard input is a command, words apart by single spaces; what they
 * are says package groupstest. The answer is a line "= CODE ...". What callbacks
 * were told are lines "! EVENT", and "~ TEXT" are messages of the fence, a group
 * that all processes of a scenario are in: what was ordered before a fence has
 * been told before it.
 *
 * Beside the commands of groupstest there are: suffix TEXT (of groups' names);
 * enter instance=N (the fence); fence TEXT; tagged (lines begin with the role); threads N (dispatch blocking, before init); slow ROLE
 * on|off; checks; counter run|stop; pollable; dispatch; fork; ffdc; and of init
 * options=NUMBER, nodelayed, script=PATH and check=counter.
 */
#include "drive.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

int                    threads;
bool                   tagged;
ha_gs_responsiveness_t control;
atomic_int             checks;
static int             fd = -1, wake = -1;
static pthread_t       dispatcher;
static bool            dispatches; /* dispatcher is to be joined */
static pthread_mutex_t dispatching = PTHREAD_MUTEX_INITIALIZER;
static unsigned        counter;
static atomic_bool     counting;

/* ---------- dispatching ---------- */

static void *dispatch_some(void *unused)
{
    (void)unused;
    for (;;) {
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = wake, .events = POLLIN}};
        pthread_mutex_lock(&all.mu);
        while (all.blind && all.running)
            pthread_cond_wait(&all.moved, &all.mu);
        bool go = all.running;
        pthread_mutex_unlock(&all.mu);
        if (!go)
            return NULL;
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            die("poll: %s", strerror(errno));
        pthread_mutex_lock(&dispatching);
        ha_gs_rc_t rc = HA_GS_OK;
        pthread_mutex_lock(&all.mu);
        go = all.running && !all.blind;
        pthread_mutex_unlock(&all.mu);
        if (go && p[0].revents) {
            rc = ha_gs_dispatch(HA_GS_NON_BLOCKING);
            flush();
        }
        if (p[1].revents) {
            uint64_t n;
            if (read(wake, &n, sizeof n) < 0 && errno != EAGAIN)
                die("read: %s", strerror(errno));
        }
        pthread_mutex_unlock(&dispatching);
        if (rc != HA_GS_OK) {
            struct text t = {0};
            add(&t, "dispatch %s", code(rc));
            say('!', t.s);
            return NULL;
        }
    }
}

static void *dispatch_all(void *unused)
{
    (void)unused;
    struct text t = {0};
    add(&t, "dispatch %s", code(ha_gs_dispatch(HA_GS_BLOCKING)));
    say('!', t.s);
    return NULL;
}

static void *count(void *unused)
{
    (void)unused;
    for (;; usleep(1000))
        if (counting)
            __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void start(void *(*f)(void *), pthread_t *id)
{
    pthread_t other;
    if (pthread_create(id ? id : &other, NULL, f, NULL) != 0)
        die("no thread");
    if (!id)
        pthread_detach(other);
}

static void awaken(void)
{
    uint64_t one = 1;
    if (wake >= 0 && write(wake, &one, sizeof one) < 0)
        die("write: %s", strerror(errno));
}

static void stop(void)
{
    pthread_mutex_lock(&all.mu);
    all.running = false;
    pthread_cond_broadcast(&all.moved);
    pthread_mutex_unlock(&all.mu);
    awaken();
    if (dispatches && !pthread_equal(pthread_self(), dispatcher)) {
        pthread_join(dispatcher, NULL);
        dispatches = false;
    }
}

/* ---------- commands ---------- */

static ha_gs_rc_t begin(char **w, int n)
{
    unsigned options = (unsigned)number_of(w, n, "options", HA_GS_SOCKET_NO_SIGNAL);
    const char *check = value_of(w, n, "check"), *script = value_of(w, n, "script");
    ha_gs_descriptor_t d;
    memset(&control, 0, sizeof control);
    if (check) {
        control.gs_responsiveness_type = strcmp(check, "ping") == 0 ? HA_GS_PING_RESPONSIVENESS : HA_GS_COUNTER_RESPONSIVENESS;
        control.gs_responsiveness_interval = (unsigned)number_of(w, n, "interval", 1);
        control.gs_responsiveness_response_time_limit = number_of(w, n, "limit", 1);
        if (control.gs_responsiveness_type == HA_GS_COUNTER_RESPONSIVENESS) {
            control.gs_counter_location = &counter;
            control.gs_counter_length = sizeof counter;
            start(count, NULL);
        }
    }
    ha_gs_rc_t rc = ha_gs_init(&d, options, check ? &control : NULL, script, has(w, n, "nocheck") ? NULL : on_check,
                               has(w, n, "nodelayed") ? NULL : on_delayed_error, NULL);
    if (rc != HA_GS_OK)
        return rc;
    stop(); /* of a connection that is lost */
    fd = d;
    if (wake < 0 && (wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        die("eventfd: %s", strerror(errno));
    pthread_mutex_lock(&all.mu);
    memset(all.of_token, 0, sizeof all.of_token);
    all.fence = -1, all.fence_joined = false;
    all.running = !threads;
    pthread_mutex_unlock(&all.mu);
    if (!threads) {
        start(dispatch_some, &dispatcher);
        dispatches = true;
    }
    for (int i = 0; i < threads; i++)
        start(dispatch_all, NULL);
    return HA_GS_OK;
}

/* enter_fence joins the group of the fence, if the program is not in it. */
static ha_gs_rc_t enter_fence(char **w)
{
    char *joining[] = {"join", "~", "G1", "as=~", w[1]};
    int token;
    pthread_mutex_lock(&all.mu);
    bool there = all.fence >= 0;
    pthread_mutex_unlock(&all.mu);
    ha_gs_rc_t rc = there ? HA_GS_OK : join(joining, 5, &token);
    if (rc != HA_GS_OK)
        return rc;
    pthread_mutex_lock(&all.mu);
    while (!all.fence_joined && all.fence >= 0)
        pthread_cond_wait(&all.moved, &all.mu);
    bool joined = all.fence_joined;
    pthread_mutex_unlock(&all.mu);
    return joined ? HA_GS_OK : HA_GS_NOT_OK;
}

/* pass_fence tells all that are in the group. */
static ha_gs_rc_t pass_fence(char **w)
{
    char *message[] = {"message", "~", w[1]};
    pthread_mutex_lock(&all.mu);
    int token = all.fence;
    pthread_mutex_unlock(&all.mu);
    return token < 0 ? HA_GS_NOT_OK : request(token, message, 3);
}

/* in_child has a child try what is its parent's, and then begin anew. */
static void in_child(struct text *answer)
{
    int p[2], node = 0;
    if (pipe(p) != 0)
        die("pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        struct text t = {0};
        ha_gs_descriptor_t d;
        add(&t, "%s ", code(ha_gs_get_node_number(&node)));
        add(&t, "%s ", code(ha_gs_init(&d, HA_GS_SOCKET_NO_SIGNAL, NULL, NULL, NULL, on_delayed_error, NULL)));
        add(&t, "%s", code(ha_gs_get_node_number(&node)));
        ha_gs_quit();
        _exit(write(p[1], t.s, t.len) == (ssize_t)t.len ? 0 : 1);
    }
    close(p[1]);
    char text[256] = "";
    ssize_t got = read(p[0], text, sizeof text - 1);
    close(p[0]);
    waitpid(child, NULL, 0);
    add(answer, "OK %s", got > 0 ? text : "?");
}

static void set_on(bool *flag, bool value)
{
    pthread_mutex_lock(&all.mu);
    *flag = value;
    pthread_cond_broadcast(&all.moved);
    pthread_mutex_unlock(&all.mu);
}

/* local does commands that are no request to the service. */
static bool local(char **w, int n, struct text *answer)
{
    bool on = n > 1 && strcmp(w[n - 1], "on") == 0;
    ha_gs_rc_t rc = HA_GS_OK;
    if (strcmp(w[0], "suffix") == 0) {
        snprintf(suffix, sizeof suffix, "%s", w[1]);
    } else if (strcmp(w[0], "tagged") == 0) {
        tagged = true;
    } else if (strcmp(w[0], "threads") == 0) {
        threads = atoi(w[1]);
    } else if (strcmp(w[0], "init") == 0) {
        rc = begin(w, n);
    } else if (strcmp(w[0], "quit") == 0) {
        stop();
        ha_gs_quit();
    } else if (strcmp(w[0], "enter") == 0) {
        rc = enter_fence(w);
    } else if (strcmp(w[0], "fence") == 0) {
        rc = pass_fence(w);
    } else if (strcmp(w[0], "plan") == 0) {
        pthread_mutex_lock(&all.mu);
        struct role *r = role_named(w[1]);
        for (int i = 2; i < n && r->plans < PLANS; i++)
            snprintf(r->plan[r->plans++], sizeof r->plan[0], "%s", w[i]);
        pthread_mutex_unlock(&all.mu);
    } else if (strcmp(w[0], "quiet") == 0) {
        set_on(&all.quiet, on);
    } else if (strcmp(w[0], "blind") == 0) {
        set_on(&all.blind, on);
        awaken();
        pthread_mutex_lock(&dispatching); /* what runs is the last */
        pthread_mutex_unlock(&dispatching);
    } else if (strcmp(w[0], "slow") == 0) {
        pthread_mutex_lock(&all.mu);
        struct role *r = role_named(w[1]);
        pthread_mutex_unlock(&all.mu);
        set_on(&r->slow, on);
    } else if (strcmp(w[0], "on") == 0) {
        struct text t = {0};
        for (int i = 2; i < n; i++)
            add(&t, "%s%s", i > 2 ? " " : "", w[i]);
        pthread_mutex_lock(&all.mu);
        snprintf(all.on_kind, sizeof all.on_kind, "%s", w[1]);
        snprintf(all.on_command, sizeof all.on_command, "%.*s", (int)sizeof all.on_command - 1, t.s);
        pthread_mutex_unlock(&all.mu);
    } else if (strcmp(w[0], "answers") == 0) {
        pthread_mutex_lock(&all.mu);
        all.answers = strcmp(w[1], "bad") == 0 ? ANSWER_BAD : strcmp(w[1], "stall") == 0 ? ANSWER_STALL : ANSWER_OK;
        pthread_cond_broadcast(&all.moved);
        pthread_mutex_unlock(&all.mu);
    } else if (strcmp(w[0], "counter") == 0) {
        counting = strcmp(w[1], "run") == 0;
    } else if (strcmp(w[0], "checks") == 0) {
        add(answer, "OK %d", atomic_load(&checks));
    } else if (strcmp(w[0], "fork") == 0) {
        in_child(answer);
    } else if (strcmp(w[0], "pollable") == 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        add(answer, "OK %d", poll(&p, 1, 0));
    } else if (strcmp(w[0], "dispatch") == 0) {
        rc = ha_gs_dispatch(HA_GS_NON_BLOCKING);
    } else {
        return false;
    }
    if (answer->len == 0)
        add(answer, "%s", code(rc));
    return true;
}

/* ask does what the library answers by itself. */
static bool ask(char **w, struct text *answer)
{
    if (strcmp(w[0], "node") == 0) {
        int node = 0;
        ha_gs_rc_t rc = ha_gs_get_node_number(&node);
        add(answer, "%s", code(rc));
        if (rc == HA_GS_OK)
            add(answer, " %d", node);
    } else if (strcmp(w[0], "limits") == 0) {
        ha_gs_limits_t l;
        add(answer, "%s", code(ha_gs_get_limits(&l)));
        add(answer, " %d %d %d %d %d %d %d %d", l.gs_max_group_name_length, l.gs_max_state_value_length, l.gs_max_message_length,
            l.gs_max_deactivate_flag_length, l.gs_max_local_name_length, l.gs_max_providers_per_group, l.gs_max_groups,
            l.gs_max_tokens_per_client);
    } else if (strcmp(w[0], "ffdc") == 0) {
        fc_eid_t id = "";
        ha_gs_rc_t rc = ha_gs_get_ffdc_id(id);
        add(answer, "%s%s%s", code(rc), rc == HA_GS_OK ? " " : "", rc == HA_GS_OK ? id : "");
    } else {
        return false;
    }
    return true;
}

void command(char *line, struct text *answer)
{
    char *w[WORDS];
    int n = split(line, " ", w), token = -1;
    ha_gs_rc_t rc;
    if (n == 0 || local(w, n, answer) || ask(w, answer))
        return;
    if (strcmp(w[0], "join") == 0 || strcmp(w[0], "subscribe") == 0) {
        rc = w[0][0] == 'j' ? join(w, n, &token) : subscribe(w, n, &token);
        add(answer, "%s", code(rc));
        if (rc == HA_GS_OK)
            add(answer, " %d", token);
        return;
    }
    if (w[1][0] == '#') {
        token = atoi(w[1] + 1);
    } else {
        pthread_mutex_lock(&all.mu);
        token = role_named(w[1])->token;
        pthread_mutex_unlock(&all.mu);
    }
    if (strcmp(w[0], "vote") == 0)
        rc = cast(token, w + 2, n - 2);
    else if (strcmp(w[0], "goodbye") == 0)
        rc = ha_gs_goodbye(token);
    else if (strcmp(w[0], "unsubscribe") == 0)
        rc = ha_gs_unsubscribe(token);
    else
        rc = request(token, w, n);
    add(answer, "%s", code(rc));
}

int main(void)
{
    char line[LINE];
    while (fgets(line, sizeof line, stdin)) {
        struct text answer = {0};
        line[strcspn(line, "\n")] = '\0';
        command(line, &answer);
        say('=', answer.s);
    }
    return 0;
}

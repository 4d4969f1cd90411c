/* dispatch.c - callbacks. */
#include "gs.h"

#include <unistd.h>

/* The callback that this thread runs. A forked child runs none of its parent's. */
static _Thread_local struct {
    pid_t pid;
    const struct gs *gs;
    const struct role *role; /* NULL: it is no role's */
} current;

bool in_callback(const struct gs *g, const struct role *r)
{
    return current.gs != NULL && current.pid == getpid() && (g == NULL || current.gs == g) && (r == NULL || current.role == r);
}

bool inside_callback(void) { return current.gs != NULL; }

/* Callbacks run between begin and finish, without the lock. */
static void begin(struct gs *g, struct role *r)
{
    if (r != NULL) {
        hold_role(r);
        r->running = r->group->busy = true;
    }
    current.pid = g->pid;
    current.gs = g;
    current.role = r;
    native_unlock(g->native);
}

/* False: the callback forked, and this is the child: everything here is the
 * parent's. */
static bool finish(struct gs *g, struct role *r)
{
    current.gs = NULL;
    if (getpid() != g->pid) {
        unshield();
        return false;
    }
    native_lock(g->native);
    if (r != NULL) {
        r->running = r->group->busy = false;
        release_role(g, r);
    }
    native_changed(g->native);
    return true;
}

/* Whether an event has to wait for the callback. It stands for all checks until that
 * runs: who did not dispatch for long is asked once. */
static bool check_arrived(struct gs *g, uint32_t number)
{
    g->check = number;
    if (g->responsiveness.gs_responsiveness_type == HA_GS_NO_RESPONSIVENESS || counter_moved(g) || g->checking)
        return false;
    g->checking = true;
    return true;
}

enum native_verdict event_arrived(void *user, const struct native_event *e)
{
    struct gs *g = user;
    ha_gs_token_t token;
    struct reader r = read_from(e->body, e->len);
    uint32_t len, check;
    const uint8_t *id;
    switch (e->kind) {
    case EVENT_N_PHASE: case EVENT_APPROVED: case EVENT_REJECTED: case EVENT_ANNOUNCEMENT: case EVENT_SUBSCRIPTION:
    case EVENT_DELAYED_ERROR:
        token = event_token(e);
        return token >= 0 && token < MAX_TOKENS && g->roles[token] != NULL ? NATIVE_KEEP : NATIVE_DROP;
    case EVENT_CHECK:
        check = read_u32(&r);
        if (!read_all(&r))
            return NATIVE_MALFORMED;
        return check_arrived(g, check) ? NATIVE_KEEP : NATIVE_DROP;
    case EVENT_ADAPTERS:
        return take_adapters(g, e) ? NATIVE_DROP : NATIVE_MALFORMED;
    case EVENT_FFDC:
        id = read_text(&r, FC_EID_LEN - 1, &len);
        if (!read_all(&r))
            return NATIVE_MALFORMED;
        keep_ffdc(id, len);
        return NATIVE_DROP;
    }
    return NATIVE_DROP; /* of a later agent */
}

bool event_ready(void *user, const struct native_event *e)
{
    const struct gs *g = user;
    ha_gs_token_t token = event_token(e);
    const struct role *r = token >= 0 && token < MAX_TOKENS ? g->roles[token] : NULL;
    return r == NULL || (!r->group->busy && r->state != LEAVING);
}

static bool lists(const ha_gs_membership_t *m, ha_gs_provider_t p)
{
    for (unsigned i = 0; i < m->gs_count; i++)
        if (m->gs_providers[i].gs_provider_id == p.gs_provider_id)
            return true;
    return false;
}

/* What the role knows when it has been told n. */
static void note(struct role *r, const struct notification *n, uint16_t event)
{
    const ha_gs_approved_notification_t *b = &n->block.approved;
    if (event == EVENT_N_PHASE) {
        r->open = true;
        r->asked = r->join->gs_join_request.gs_n_phase_protocol_callback != NULL;
        r->seq = n->seq;
        r->phase = n->proposal.gs_phase_info.gs_phase_number;
        return;
    }
    r->open = r->asked = false;
    if (event == EVENT_APPROVED && r->state == JOINING)
        r->state = MEMBER;
    if (b->gs_protocol_type == r->proposed && n->proposal.gs_proposed_by.gs_provider_id == r->self.gs_provider_id) {
        r->proposed = HA_GS_RESPONSIVENESS;
        free(r->proposal);
        r->proposal = NULL;
    }
    if (lists(&n->changing, r->self) && !lists(&n->current, r->self))
        r->state = ENDED;
}

/* Functions that deliver one event return false in a forked child, like finish. */
static bool broken(struct gs *g)
{
    native_end(g->native);
    return true;
}

static bool tell_notification(struct gs *g, struct role *r, const struct native_event *e)
{
    struct notification *n = decode_notification(e, r);
    if (n == NULL)
        return broken(g);
    note(r, n, e->kind);
    const ha_gs_join_request_t *q = &r->join->gs_join_request;
    begin(g, r);
    if (e->kind == EVENT_N_PHASE && q->gs_n_phase_protocol_callback != NULL)
        q->gs_n_phase_protocol_callback(&n->block.n_phase);
    if (e->kind == EVENT_APPROVED && q->gs_protocol_approved_callback != NULL)
        q->gs_protocol_approved_callback(&n->block.approved);
    if (e->kind == EVENT_REJECTED && q->gs_protocol_rejected_callback != NULL)
        q->gs_protocol_rejected_callback(&n->block.rejected);
    free(n);
    return finish(g, r);
}

static bool tell_announcement(struct gs *g, struct role *r, const struct native_event *e)
{
    struct announcement *a = decode_announcement(e);
    if (a == NULL)
        return broken(g);
    if (a->ends)
        r->state = ENDED;
    ha_gs_announcement_cb_t *callback = r->join->gs_join_request.gs_announcement_callback;
    begin(g, r);
    if (callback != NULL)
        callback(&a->block);
    free(a);
    return finish(g, r);
}

static bool tell_subscription(struct gs *g, struct role *r, const struct native_event *e)
{
    struct subscription *s = decode_subscription(e);
    if (s == NULL)
        return broken(g);
    if (s->ends)
        r->state = ENDED;
    ha_gs_subscriber_cb_t *callback = r->join->gs_subscribe_request.gs_subscription_callback;
    begin(g, r);
    callback(&s->block);
    free(s);
    return finish(g, r);
}

static bool tell_delayed_error(struct gs *g, struct role *r, const struct native_event *e)
{
    struct delayed_error *d = decode_delayed_error(e);
    if (d == NULL)
        return broken(g);
    ha_gs_proposal_info_t *proposal = NULL;
    ha_gs_request_t kind = d->block.gs_protocol_type;
    if (kind == (r->provider ? HA_GS_JOIN : HA_GS_SUBSCRIPTION))
        d->block.gs_failing_request = r->join;
    else if (kind == r->proposed && r->proposal != NULL) {
        d->block.gs_failing_request = proposal = r->proposal;
        r->proposal = NULL;
        r->proposed = HA_GS_RESPONSIVENESS;
        if (d->block.gs_delayed_return_code == HA_GS_BACKLEVEL_PROVIDERS && kind == HA_GS_GROUP_ATTRIBUTE_CHANGE)
            proposal->gs_attribute_change_request.gs_backlevel_providers = &d->list;
    } else { /* nothing of the kind was asked for */
        free(d);
        return broken(g);
    }
    if (d->ends)
        r->state = ENDED;
    begin(g, r);
    g->on_delayed_error(&d->block);
    free(proposal);
    free(d);
    return finish(g, r);
}

static bool tell_check(struct gs *g)
{
    ha_gs_responsiveness_notification_t b = { HA_GS_RESPONSIVENESS_NOTIFICATION, g->responsiveness };
    uint32_t check = g->check;
    g->checking = false;
    begin(g, NULL);
    ha_gs_callback_rc_t rc = g->on_responsiveness(&b);
    if (!finish(g, NULL))
        return false;
    answer_check(g, check, rc == HA_GS_CALLBACK_OK);
    return true;
}

static bool tell_role(struct gs *g, struct role *r, const struct native_event *e)
{
    hold_role(r);
    bool same = true;
    switch (e->kind) {
    case EVENT_SUBSCRIPTION:
        same = r->provider ? broken(g) : tell_subscription(g, r, e);
        break;
    case EVENT_DELAYED_ERROR:
        same = tell_delayed_error(g, r, e);
        break;
    case EVENT_ANNOUNCEMENT:
        same = r->provider ? tell_announcement(g, r, e) : broken(g);
        break;
    default:
        same = r->provider ? tell_notification(g, r, e) : broken(g);
    }
    if (!same)
        return false;
    if (r->state == ENDED)
        end_role(g, r);
    release_role(g, r);
    return true;
}

static bool deliver(struct gs *g, struct native_event *e)
{
    bool same = true;
    if (e->kind == EVENT_CHECK)
        same = tell_check(g);
    else {
        struct role *r = g->roles[event_token(e)];
        same = r == NULL || tell_role(g, r, e);
    }
    if (same)
        native_done(g->native, e);
    return same;
}

/* Tells one role that the agent has gone. */
static bool tell_death(struct gs *g, struct role *r)
{
    ha_gs_announcement_notification_t a = { HA_GS_ANNOUNCEMENT_NOTIFICATION, r->token, HA_GS_GROUP_SERVICES_HAS_DIED_HORRIBLY, NULL };
    ha_gs_subscription_notification_t s = {
        .gs_notification_type = HA_GS_SUBSCRIPTION_NOTIFICATION,
        .gs_subscriber_token = r->token,
        .gs_subscription_type = HA_GS_SUBSCRIPTION_GS_HAS_DIED,
    };
    begin(g, r);
    if (!r->provider)
        r->join->gs_subscribe_request.gs_subscription_callback(&s);
    else if (r->join->gs_join_request.gs_announcement_callback != NULL)
        r->join->gs_join_request.gs_announcement_callback(&a);
    return finish(g, r);
}

static bool mourn_role(struct gs *g, struct role *r)
{
    hold_role(r);
    while (r->group->busy && !g->quit)
        native_wait(g->native, true);
    if (r->taken && !g->quit) {
        r->state = ENDED;
        if (!tell_death(g, r))
            return false;
        end_role(g, r);
    }
    release_role(g, r);
    return true;
}

/* The agent has gone: tells providers, then subscribers (group services 15.3). Leaves
 * g. */
static ha_gs_rc_t mourn(struct gs *g, bool blocking)
{
    if (g->mourning) {
        while (blocking && !g->mourned && !g->quit)
            native_wait(g->native, true);
        return leave(g, HA_GS_NOT_OK);
    }
    g->mourning = true;
    for (int providers = 1; providers >= 0; providers--)
        for (ha_gs_token_t t = 0; t < MAX_TOKENS; t++) {
            struct role *r = find_role(g, t, providers);
            if (r != NULL && !mourn_role(g, r))
                return HA_GS_NO_INIT;
        }
    g->mourned = true;
    native_changed(g->native);
    lost(g);
    return leave(g, HA_GS_NOT_OK);
}

static void cancelled(void *g) { leave(g, HA_GS_OK); }

static void wait_for_events(struct gs *g)
{
    pthread_cleanup_push(cancelled, g);
    idle(g);
    pthread_cleanup_pop(0);
}

PUBLIC ha_gs_rc_t ha_gs_dispatch(const ha_gs_dispatch_flag_t flags)
{
    ha_gs_rc_t rc;
    bool blocking = flags == HA_GS_BLOCKING;
    struct gs *g = enter(false, &rc);
    if (g == NULL)
        return rc;
    if (!blocking && flags != HA_GS_NON_BLOCKING)
        return leave(g, HA_GS_BAD_PARAMETER);
    if (in_callback(g, NULL))
        return leave(g, HA_GS_NOT_OK);
    native_pump(g->native);
    /* What callbacks make come is for the next time. */
    uint64_t newest = blocking ? UINT64_MAX : native_newest(g->native);
    while (!g->quit) {
        struct native_event *e = native_take(g->native, newest);
        if (e != NULL) {
            if (!deliver(g, e))
                return HA_GS_NO_INIT;
        } else if (native_ended(g->native) && native_empty(g->native))
            return mourn(g, blocking);
        else if (!blocking)
            break;
        else
            wait_for_events(g);
    }
    return leave(g, HA_GS_OK);
}

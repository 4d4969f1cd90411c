/* init.c - the one connection of a process: how it begins and ends. */
#include "gs.h"

#include <unistd.h>

/* The connection of this process, or the one that it inherited. */
static struct {
    pthread_mutex_t lock;
    struct gs *gs, *inherited;
    pid_t beginning; /* the process that is in ha_gs_init, or was when it forked */
    pid_t lost;      /* the process whose connection ended by itself */
    char ffdc[FC_EID_LEN];
} process = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* A fork copies the lock, so it must be free then. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void lock_process(void) { pthread_mutex_lock(&process.lock); }
static void unlock_process(void) { pthread_mutex_unlock(&process.lock); }
static void prepare(void) { pthread_atfork(lock_process, unlock_process, unlock_process); }

/* What the thread has cancellation set to, outside of the library. */
static _Thread_local int cancel_state;

void shield(void)
{
    if (!inside_callback())
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
}

void unshield(void)
{
    if (!inside_callback())
        pthread_setcancelstate(cancel_state, NULL);
}

void idle(struct gs *g) { native_idle(g->native, cancel_state); }

struct gs *enter(bool alive, ha_gs_rc_t *rc)
{
    pid_t pid = getpid();
    shield();
    lock_process();
    struct gs *g = process.gs;
    if (g == NULL || g->pid != pid) {
        *rc = g == NULL && process.lost == pid ? HA_GS_NOT_OK : HA_GS_NO_INIT;
        unlock_process();
        unshield();
        return NULL;
    }
    g->refs++;
    unlock_process();
    native_lock(g->native);
    if (alive && native_ended(g->native)) {
        *rc = leave(g, g->quit ? HA_GS_NO_INIT : HA_GS_NOT_OK);
        return NULL;
    }
    *rc = HA_GS_OK;
    return g;
}

ha_gs_rc_t leave(struct gs *g, ha_gs_rc_t rc)
{
    native_unlock(g->native);
    release(g);
    unshield();
    return rc;
}

void hold(struct gs *g)
{
    lock_process();
    g->refs++;
    unlock_process();
}

static void free_gs(struct gs *g)
{
    if (g->native != NULL) {
        native_lock(g->native);
        for (ha_gs_token_t t = 0; t < MAX_TOKENS; t++)
            if (g->roles[t] != NULL)
                end_role(g, g->roles[t]);
        native_unlock(g->native);
        native_unref(g->native);
    }
    free(g->adapters);
    free(g);
}

void release(struct gs *g)
{
    lock_process();
    int left = --g->refs;
    unlock_process();
    if (left == 0)
        free_gs(g);
}

/* Parts with the connection; by_itself: it was not ha_gs_quit. */
static void detach(struct gs *g, bool by_itself)
{
    lock_process();
    bool current = process.gs == g;
    if (current) {
        process.gs = NULL;
        process.lost = by_itself ? g->pid : 0;
    }
    unlock_process();
    if (current)
        release(g);
}

void lost(struct gs *g) { detach(g, true); }

void keep_ffdc(const uint8_t *id, uint32_t len)
{
    lock_process();
    memcpy(process.ffdc, id, len);
    process.ffdc[len] = '\0';
    unlock_process();
}

static bool right_responsiveness(const ha_gs_responsiveness_t *r, ha_gs_responsiveness_cb_t *callback)
{
    switch (r->gs_responsiveness_type) {
    case HA_GS_NO_RESPONSIVENESS:
        return true;
    case HA_GS_COUNTER_RESPONSIVENESS:
        switch (r->gs_counter_length) {
        case 1: case 2: case 4: case 8:
            break;
        default:
            return false;
        }
        if (r->gs_counter_location == NULL)
            return false;
        /* fall through */
    case HA_GS_PING_RESPONSIVENESS:
        return r->gs_responsiveness_interval >= 1 && r->gs_responsiveness_response_time_limit >= 1 && callback != NULL;
    }
    return false;
}

/* The domain that the program wants; empty: that of the agent. */
static const char *domain(void)
{
    const char *name = getenv("HA_DOMAIN_NAME");
    if (name == NULL)
        name = getenv("HA_SYSPAR_NAME");
    return name != NULL ? name : "";
}

static ha_gs_rc_t hello(struct gs *g, const char *script)
{
    const char *subsystem = getenv("HA_GS_SUBSYS");
    if (subsystem == NULL || *subsystem == '\0')
        subsystem = "cthags";
    if (strlen(subsystem) > MAX_DOMAIN || strlen(domain()) > MAX_DOMAIN)
        return HA_GS_CONNECT_FAILED;
    struct writer w = { 0 };
    write_u16(&w, HA_GS_RELEASE);
    write_text(&w, subsystem, strlen(subsystem));
    write_text(&w, domain(), strlen(domain()));
    write_u8(&w, (uint8_t)g->responsiveness.gs_responsiveness_type);
    write_u32(&w, g->responsiveness.gs_responsiveness_interval);
    write_u32(&w, (uint32_t)g->responsiveness.gs_responsiveness_response_time_limit);
    write_u32(&w, (uint32_t)g->pid);
    write_text(&w, script, strlen(script));
    write_u8(&w, g->wants_adapters);

    struct native_answer a;
    native_lock(g->native);
    ha_gs_rc_t rc = ask(g, CALL_HELLO, &w, &a);
    native_unlock(g->native);
    struct reader r = read_from(a.body, a.len); /* the limits behind are those of the header */
    read_u16(&r);
    read_u16(&r);
    g->node = (short)read_u16(&r);
    if (rc == HA_GS_NOT_OK || (rc == HA_GS_OK && r.bad))
        rc = HA_GS_CONNECT_FAILED;
    free(a.body);
    return rc;
}

static ha_gs_rc_t open_error(enum native_error e, uint16_t code)
{
    switch (e) {
    case NATIVE_MEMORY:
        return HA_GS_NO_MEMORY;
    case NATIVE_SOCKET:
        return HA_GS_SOCK_CREATE_FAILED;
    case NATIVE_SETUP:
        return HA_GS_SOCK_INIT_FAILED;
    default:
        return code == NATIVE_CODE_NO_MEMORY || code == NATIVE_CODE_NO_RESOURCES ? HA_GS_NO_MEMORY : HA_GS_CONNECT_FAILED;
    }
}

static ha_gs_rc_t begin(struct gs *g, const char *script)
{
    struct native_config c = { .service = SERVICE, .window = WINDOW, .user = g, .arrived = event_arrived, .ready = event_ready };
    uint16_t code;
    enum native_error e = native_open(&g->native, &c, &code);
    if (e != NATIVE_OK)
        return open_error(e, code);
    ha_gs_rc_t rc = hello(g, script);
    if (rc == HA_GS_OK && g->responsiveness.gs_responsiveness_type == HA_GS_COUNTER_RESPONSIVENESS && !watch_counter(g))
        rc = HA_GS_NO_MEMORY;
    if (rc != HA_GS_OK) {
        native_lock(g->native);
        g->quit = true;
        native_end(g->native);
        native_unlock(g->native);
    }
    return rc;
}

static bool dead(struct gs *g)
{
    native_lock(g->native);
    native_pump(g->native);
    bool ended = native_ended(g->native);
    native_unlock(g->native);
    return ended;
}

/* Claims the place of the connection. An inherited one makes room; a dead one stays until
 * there is another, for the program has still to hear of its end. */
static ha_gs_rc_t claim(struct gs *g)
{
    struct gs *old = NULL;
    lock_process();
    if (process.gs != NULL && process.gs->pid != g->pid) {
        native_abandon(process.gs->native);
        process.gs->inherited = process.inherited;
        process.inherited = process.gs; /* its memory may be in use further up the stack */
        process.gs = NULL;
    } else if (process.gs != NULL) {
        old = process.gs;
        old->refs++;
    }
    unlock_process();
    bool vacant = old == NULL || dead(old);
    lock_process();
    vacant = vacant && process.beginning != g->pid && (process.gs == NULL || process.gs == old);
    if (vacant) {
        process.beginning = g->pid;
        process.ffdc[0] = '\0';
    }
    unlock_process();
    if (old != NULL)
        release(old);
    return vacant ? HA_GS_OK : HA_GS_EXISTS;
}

/* Ends what claim began: with g in the place, or not. */
static void occupy(struct gs *g, bool connected)
{
    struct gs *old = NULL;
    lock_process();
    process.beginning = 0;
    if (connected) {
        old = process.gs;
        process.gs = g;
        process.lost = 0;
    }
    unlock_process();
    if (old != NULL)
        release(old);
}

PUBLIC ha_gs_rc_t ha_gs_init(ha_gs_descriptor_t *descriptor, const ha_gs_socket_ctrl_t options,
                             const ha_gs_responsiveness_t *responsiveness, const char *script,
                             ha_gs_responsiveness_cb_t *on_responsiveness, ha_gs_delayed_error_cb_t *on_delayed_error,
                             ha_gs_query_cb_t *on_query)
{
    (void)on_query;
    pthread_once(&once, prepare);
    if (descriptor == NULL || on_delayed_error == NULL || (options & ~HA_GS_ENABLE_ADAPTER_INFO) != HA_GS_SOCKET_NO_SIGNAL ||
        (script != NULL && (*script != '/' || strlen(script) > MAX_SCRIPT)) ||
        (responsiveness != NULL && !right_responsiveness(responsiveness, on_responsiveness)))
        return HA_GS_BAD_PARAMETER;
    if (in_callback(NULL, NULL))
        return HA_GS_NOT_OK;

    struct gs *g = calloc(1, sizeof *g);
    if (g == NULL)
        return HA_GS_NO_MEMORY;
    g->refs = 1;
    g->pid = getpid();
    g->wants_adapters = (options & HA_GS_ENABLE_ADAPTER_INFO) != 0;
    if (responsiveness != NULL)
        g->responsiveness = *responsiveness;
    g->on_responsiveness = on_responsiveness;
    g->on_delayed_error = on_delayed_error;

    shield();
    ha_gs_rc_t rc = claim(g);
    if (rc == HA_GS_OK) {
        rc = begin(g, script != NULL ? script : "");
        if (rc == HA_GS_OK)
            *descriptor = native_descriptor(g->native);
        occupy(g, rc == HA_GS_OK);
    }
    if (rc != HA_GS_OK)
        release(g);
    unshield();
    return rc;
}

PUBLIC void ha_gs_quit(void)
{
    ha_gs_rc_t rc;
    struct gs *g = enter(false, &rc);
    if (g == NULL) {
        lock_process();
        if (process.lost == getpid())
            process.lost = 0;
        unlock_process();
        return;
    }
    g->quit = true;
    native_end(g->native);
    detach(g, false);
    leave(g, HA_GS_OK);
}

PUBLIC ha_gs_rc_t ha_gs_get_ffdc_id(fc_eid_t fid)
{
    if (fid == NULL)
        return HA_GS_BAD_PARAMETER;
    lock_process();
    ha_gs_rc_t rc = process.ffdc[0] != '\0' ? HA_GS_OK : HA_GS_NOT_OK;
    if (rc == HA_GS_OK)
        memcpy(fid, process.ffdc, sizeof process.ffdc);
    unlock_process();
    return rc;
}

PUBLIC ha_gs_rc_t ha_gs_setup_ffdc(void) { return HA_GS_OK; }

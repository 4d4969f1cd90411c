/* call.c - requests to the agent. */
#include "core.h"

bool ais_deadline(SaTimeT limit, struct timespec *t, const struct timespec **deadline)
{
    *deadline = NULL;
    if (limit <= 0)
        return false;
    clock_gettime(CLOCK_MONOTONIC, t);
    SaTimeT second = SA_TIME_ONE_SECOND, now = t->tv_sec * second + t->tv_nsec;
    if (limit > SA_TIME_END - now)
        return true;
    t->tv_sec = (now + limit) / second;
    t->tv_nsec = (now + limit) % second;
    *deadline = t;
    return true;
}

bool ais_wait(struct ais *h, const struct timespec *deadline) { return native_wait_until(h->native, deadline); }

static SaAisErrorT error_of(const struct ais *h, enum native_error e)
{
    if (e == NATIVE_OK)
        return SA_AIS_OK;
    if (e == NATIVE_MEMORY)
        return SA_AIS_ERR_NO_MEMORY;
    if (e == NATIVE_LATE)
        return SA_AIS_ERR_TIMEOUT;
    return h->finalized ? SA_AIS_ERR_BAD_HANDLE : SA_AIS_ERR_LIBRARY;
}

/* The codes of the door are those of the AIS. */
static SaAisErrorT error_of_code(uint16_t code)
{
    return code >= SA_AIS_OK && code <= SA_AIS_ERR_UNAVAILABLE ? (SaAisErrorT)code : SA_AIS_ERR_LIBRARY;
}

static void answered(struct native_request *n, struct native_answer *a)
{
    struct request *q = (struct request *)n;
    q->answered(q, a != NULL ? error_of_code(a->code) : SA_AIS_ERR_LIBRARY, a);
}

SaAisErrorT ais_begin(struct ais *h, struct request *q, uint16_t function, struct writer *w, const struct timespec *deadline)
{
    q->native.answered = answered;
    enum native_error e = w->failed ? NATIVE_MEMORY : native_begin(h->native, &q->native, function, w->data, w->len, deadline);
    write_free(w);
    return error_of(h, e);
}

/* A request that somebody waits for, or did. */
struct call {
    struct request request;
    bool done, forgotten;
    SaAisErrorT error;
    struct native_answer answer;
};

static void end_call(struct request *q, SaAisErrorT e, struct native_answer *a)
{
    struct call *c = (struct call *)q;
    if (c->forgotten) {
        if (a != NULL)
            free(a->body);
        free(c);
        return;
    }
    c->done = true;
    c->error = e;
    if (a != NULL)
        c->answer = *a;
}

SaAisErrorT ais_call(struct ais *h, uint16_t function, struct writer *w, const struct timespec *deadline, struct native_answer *a)
{
    struct call *c = calloc(1, sizeof *c);
    if (c == NULL) {
        write_free(w);
        return SA_AIS_ERR_NO_MEMORY;
    }
    c->request.answered = end_call;
    SaAisErrorT e = ais_begin(h, &c->request, function, w, deadline);
    bool in_time = e == SA_AIS_OK;
    while (in_time && !c->done)
        in_time = ais_wait(h, deadline);
    if (e == SA_AIS_OK && !c->done) {
        c->forgotten = true;
        return SA_AIS_ERR_TIMEOUT;
    }
    if (e == SA_AIS_OK)
        e = h->finalized ? SA_AIS_ERR_BAD_HANDLE : c->error;
    if (e == SA_AIS_OK && a != NULL)
        *a = c->answer;
    else
        free(c->answer.body);
    free(c);
    return e;
}

SaAisErrorT ais_try(struct ais *h, struct request *q, uint16_t function, struct writer *w)
{
    static const struct timespec past = { 0 };
    SaAisErrorT e = ais_begin(h, q, function, w, &past);
    return e == SA_AIS_ERR_TIMEOUT ? SA_AIS_ERR_TRY_AGAIN : e;
}

SaAisErrorT ais_cast(struct ais *h, uint16_t function, struct writer *w)
{
    enum native_error e = w->failed ? NATIVE_MEMORY : native_cast(h->native, function, 0, w->data, w->len);
    write_free(w);
    return error_of(h, e);
}

SaAisErrorT ais_grant(struct ais *h, uint32_t n)
{
    struct writer w = { 0 };
    write_u32(&w, n);
    return ais_cast(h, CALL_GRANT, &w);
}

SaAisErrorT ais_end(struct ais *h, uint32_t sub)
{
    struct writer w = { 0 };
    write_u32(&w, sub);
    SaAisErrorT e = ais_call(h, CALL_END, &w, NULL, NULL);
    return e == SA_AIS_ERR_NOT_EXIST ? SA_AIS_OK : e;
}

SaAisErrorT ais_status(struct ais *h, const struct timespec *deadline, struct native_answer *a)
{
    enum { PRIMARY = 1 };
    struct writer w = { 0 };
    SaAisErrorT e = ais_call(h, CALL_STATUS, &w, deadline, a);
    if (e != SA_AIS_OK)
        return e;
    struct reader r = read_from(a->body, a->len);
    uint8_t state = read_u8(&r);
    if (!r.bad && state == PRIMARY)
        return SA_AIS_OK;
    free(a->body);
    *a = (struct native_answer){ 0 };
    return r.bad ? SA_AIS_ERR_LIBRARY : SA_AIS_ERR_TRY_AGAIN;
}

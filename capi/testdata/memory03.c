/* memory03.c - lives of a program of cluster events of which each lacks memory once, one
 * later than the other. Linked with --wrap for malloc, calloc and realloc. */
#define OC_EVENT_API 34
#include <ocf/oc_event.h>
#include <ocf/oc_event_pub.h>

#include "victim.h"
#include "want.h"

#include <errno.h>
#include <poll.h>

static int left;   /* allocations that succeed; the library has threads */
static int lacked; /* one did not */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool lacks(void)
{
    if (__atomic_fetch_sub(&left, 1, __ATOMIC_SEQ_CST) != 0)
        return false;
    __atomic_store_n(&lacked, 1, __ATOMIC_SEQ_CST);
    return true;
}

void *__wrap_malloc(size_t n) { return lacks() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return lacks() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t n) { return lacks() ? NULL : __real_realloc(p, n); }

/* Whether it was done; if not, there was no memory for it, or a connection ended. */
static bool done(bool right)
{
    if (!right)
        TRUE(__atomic_load_n(&lacked, __ATOMIC_SEQ_CST) && (errno == ENOMEM || errno == ECONNREFUSED || errno == ESHUTDOWN || errno == ETIMEDOUT));
    return right;
}

static int told;

static void on_event(const oc_ev_data_t *d)
{
    touch(d, d->e_size);
    told++;
    WANT(oc_ev_event_done(d), 0);
}

static bool await(int fd)
{
    for (told = 0; told == 0;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        WANT(poll(&p, 1, -1), 1);
        if (!done(oc_ev_handle_event(fd) == 0))
            return false;
    }
    return true;
}

static void life03(const char *class)
{
    int fd = oc_ev_register(class, on_event);
    if (!done(fd >= 0))
        return;
    if (await(fd) && class[0] != '_' && done(oc_ev_publish(class, 0, "x", 1, NULL) == 0))
        await(fd);
    WANT(oc_ev_unregister(fd), 0);
}

static void life04(void)
{
    int ed = oc_ev_subscribe(S_OC_EV_MEMB_CLASS, NULL);
    if (!done(ed >= 0))
        return;
    oc_ev_event_t *e = oc_ev_get_event(ed, -1);
    if (done(e != NULL)) {
        touch(e, (size_t)e->size);
        WANT(oc_ev_event_done(e), 0);
    }
    WANT(oc_ev_unsubscribe(ed), 0);
}

int main(void)
{
    int n = 0, old = 0;
    do {
        left = n++;
        lacked = 0;
        life03(S_OC_EV_MEMB_CLASS);
        life03("memory");
        life04();
    } while (lacked);
    do {
        left = old++;
        lacked = 0;
        session02();
    } while (lacked);
    TRUE(n > 30 && old > 10); /* there are that many allocations */
    puts("all right");
    return 0;
}

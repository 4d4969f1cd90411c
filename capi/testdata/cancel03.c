/* cancel03.c - threads that are cancelled wherever they are in the library of cluster
 * events: they end where they wait, and others go on. */
#define OC_EVENT_API 34
#include <ocf/oc_event.h>
#include <ocf/oc_event_pub.h>

#include "want.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static int told, fd_of;
static bool hold, inside;

/* A point at which a thread could be cancelled is within. */
static void in_callback(void)
{
    pthread_mutex_lock(&lock);
    inside = true;
    pthread_cond_broadcast(&change);
    while (hold)
        pthread_cond_wait(&change, &lock);
    inside = false;
    told++;
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
    pthread_testcancel();
}

static void on_event(const oc_ev_data_t *d)
{
    in_callback();
    WANT(oc_ev_event_done(d), 0);
}

static void on_topic(const oc_ev_event_t *e)
{
    in_callback();
    WANT(oc_ev_event_done(e), 0);
}

static void gone(pthread_t t)
{
    void *how;
    WANT(pthread_join(t, &how), 0);
    TRUE(how == PTHREAD_CANCELED);
}

static pthread_t begin(void *(*what)(void *), void *arg)
{
    pthread_t t;
    WANT(pthread_create(&t, NULL, what, arg), 0);
    return t;
}

static void *waits_for_all(void *unused)
{
    oc_ev_handle_events();
    return unused;
}

static void *waits_for_one(void *ed)
{
    WANT(oc_ev_event_done(oc_ev_get_event(*(int *)ed, -1)), 0);
    return NULL;
}

/* Has its end at the first point behind the library. */
static void *calls(void *unused)
{
    int32_t id;
    pthread_cancel(pthread_self());
    int fd = oc_ev_register("calls", on_event), ed = oc_ev_subscribe(S_OC_EV_MEMB_CLASS, NULL);
    TRUE(fd >= 0 && ed >= 0);
    WANT(oc_ev_publish("g", 0, "x", 1, &id), 0);
    WANT(oc_ev_unsubscribe(ed), 0);
    WANT(oc_ev_unregister(fd), 0);
    pthread_testcancel();
    return unused;
}

static void *handles(void *unused)
{
    struct pollfd p = { .fd = fd_of, .events = POLLIN };
    WANT(poll(&p, 1, -1), 1);
    WANT(oc_ev_handle_event(fd_of), 0);
    pthread_testcancel();
    return unused;
}

static void wait_for(const bool *what)
{
    pthread_mutex_lock(&lock);
    while (!*what)
        pthread_cond_wait(&change, &lock);
    pthread_mutex_unlock(&lock);
}

static void wait_told(int least)
{
    pthread_mutex_lock(&lock);
    while (told < least)
        pthread_cond_wait(&change, &lock);
    pthread_mutex_unlock(&lock);
}

/* Cancels a thread within its callback. */
static void cancel_inside(pthread_t t)
{
    wait_for(&inside);
    pthread_cancel(t);
    pthread_mutex_lock(&lock);
    hold = false;
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
    gone(t);
}

int main(void)
{
    hold = true;
    fd_of = oc_ev_register("g", on_event);
    TRUE(fd_of >= 0);
    cancel_inside(begin(handles, NULL)); /* which was done with the event */
    WANT(told, 1);
    gone(begin(calls, NULL));
    struct pollfd p = { .fd = fd_of, .events = POLLIN };
    WANT(poll(&p, 1, -1), 1);
    WANT(oc_ev_handle_event(fd_of), 0);
    WANT(told, 2);

    int pulled = oc_ev_subscribe("g", NULL), called = oc_ev_subscribe("g", on_topic);
    TRUE(pulled >= 0 && called >= 0);
    pthread_t one = begin(waits_for_one, &pulled), all = begin(waits_for_all, NULL);
    pthread_cancel(one); /* both wait, or will */
    pthread_cancel(all);
    gone(one);
    gone(all);
    hold = true;
    all = begin(waits_for_all, NULL);
    WANT(oc_ev_publish("g", 0, "x", 1, NULL), 0);
    cancel_inside(all);
    WANT(told, 3);
    all = begin(waits_for_all, NULL);
    WANT(oc_ev_publish("g", 0, "y", 1, NULL), 0);
    wait_told(4);
    for (int i = 0; i < 2; i++)
        waits_for_one(&pulled);
    WANT(oc_ev_unsubscribe(called), 0);
    WANT(pthread_join(all, NULL), 0);
    WANT(oc_ev_unsubscribe(pulled), 0);
    WANT(oc_ev_unregister(fd_of), 0);
    puts("all right");
    return 0;
}

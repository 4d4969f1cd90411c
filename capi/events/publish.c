/* publish.c - publishing, over one connection of the process. */
#include "events.h"

#include <errno.h>
#include <ocf/oc_event_pub.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct handle *publisher;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void lock_publisher(void) { pthread_mutex_lock(&lock); }
static void unlock_publisher(void) { pthread_mutex_unlock(&lock); }

static void in_child(void)
{
    if (publisher != NULL)
        native_abandon(publisher->native);
    publisher = NULL;
    unlock_publisher();
}

static void prepare(void) { pthread_atfork(lock_publisher, unlock_publisher, in_child); }

/* Takes the connection, a new one if the last one ended. */
static int enter(struct handle **out)
{
    int e = 0;
    lock_publisher();
    if (publisher != NULL) {
        native_lock(publisher->native);
        native_pump(publisher->native);
        bool ended = native_ended(publisher->native);
        native_unlock(publisher->native);
        if (ended) {
            handle_unref(publisher);
            publisher = NULL;
        }
    }
    if (publisher == NULL && (e = handle_open(FACE_04, 0, 0, &publisher)) == 0) {
        close(publisher->fd); /* nothing comes */
        publisher->fd = -1;
    }
    if (e == 0) {
        handle_ref(publisher);
        *out = publisher;
    }
    unlock_publisher();
    return e;
}

static void put(struct writer *w, const char *topic, int32_t re, const void *data, size_t len)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    write_text(w, topic, strlen(topic));
    write_u64(w, 0); /* the topic that has the name */
    write_u32(w, (uint32_t)re);
    write_u8(w, 3); /* the lowest priority */
    write_u64(w, 0);
    write_u64(w, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
    write_text(w, NULL, 0);
    write_u32(w, 0);
    write_text(w, data, len);
}

static int publish(struct handle *h, struct writer *w, int32_t *id)
{
    struct native_answer a = { 0 };
    native_lock(h->native);
    enum native_error e = w->failed ? NATIVE_MEMORY : native_call(h->native, CALL_PUBLISH, w->data, w->len, &a);
    native_unlock(h->native);
    struct reader r = read_from(a.body, a.len);
    read_u64(&r);
    uint64_t seq = read_u64(&r);
    free(a.body);
    if (e != NATIVE_OK)
        return e == NATIVE_MEMORY ? ENOMEM : ETIMEDOUT; /* it may have happened */
    if (a.code != NATIVE_CODE_OK)
        return code_error(a.code);
    if (seq == 0)
        return EPROTO;
    if (id != NULL)
        *id = message_number(seq);
    return 0;
}

PUBLIC int oc_ev_publish(const char *topic, int32_t re_id, const void *data, size_t len, int32_t *ev_id_out)
{
    SHIELD;
    struct handle *h;
    int e = 0;
    pthread_once(&once, prepare);
    if (!right_name(topic) || strncmp(topic, "__", 2) == 0 || (data == NULL && len > 0))
        e = EINVAL;
    else if (len > MAX_DATA)
        e = EMSGSIZE;
    else if ((e = enter(&h)) == 0) {
        struct writer w = { 0 };
        put(&w, topic, re_id, data, len);
        e = publish(h, &w, ev_id_out);
        write_free(&w);
        handle_unref(h);
    }
    if (e == 0)
        return 0;
    errno = e;
    return -1;
}

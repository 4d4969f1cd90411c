/* handle.c - connections, their descriptors, and the table of them. */
#include "events.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct handle *first;
} table = { .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };

static _Thread_local int callbacks; /* of handles that this thread is in */

void table_lock(void) { pthread_mutex_lock(&table.lock); }
void table_unlock(void) { pthread_mutex_unlock(&table.lock); }
void table_changed(void) { pthread_cond_broadcast(&table.change); }
struct handle *table_first(void) { return table.first; }

static void cancelled(void *unused)
{
    (void)unused;
    table_unlock();
}

void table_wait(int cancel)
{
    int before;
    pthread_cleanup_push(cancelled, NULL);
    pthread_setcancelstate(cancel, &before);
    pthread_cond_wait(&table.change, &table.lock);
    pthread_setcancelstate(before, NULL);
    pthread_cleanup_pop(0);
}

int shield(void)
{
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    return cancel;
}

void unshield(const int *cancel)
{
    int before;
    pthread_setcancelstate(*cancel, &before);
}

void again_lock_init(pthread_mutex_t *m)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(m, &a);
    pthread_mutexattr_destroy(&a);
}

static void close_lamps(struct handle *h)
{
    int fds[] = { h->watch, h->lamp };
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    h->watch = h->lamp = -1;
}

/* A child lets go of what it inherited, so that the agent sees the parent end. */
static void in_child(void)
{
    for (struct handle *h = table.first; h != NULL; h = h->next)
        native_abandon(h->native);
    table.first = NULL;
    pthread_cond_init(&table.change, NULL);
    table_unlock();
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void prepare(void) { pthread_atfork(table_lock, table_unlock, in_child); }

static enum native_verdict arrived(void *user, const struct native_event *e)
{
    struct handle *h = user;
    if (e->kind == EVENT_END && h->face != FACE_02) {
        h->over = true; /* what was queued comes first */
        return NATIVE_DROP;
    }
    return e->kind >= EVENT_FACT && e->kind <= EVENT_END && e->kind != EVENT_LOST ? NATIVE_KEEP : NATIVE_DROP;
}

static bool ready(void *user, const struct native_event *e)
{
    (void)user, (void)e;
    return true;
}

static bool open_lamps(struct handle *h)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return false;
    h->lamp = fcntl(pair[0], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    h->watch = fcntl(pair[1], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    h->fd = fcntl(pair[1], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(pair[0]);
    close(pair[1]);
    return h->lamp >= 0 && h->watch >= 0 && h->fd >= 0;
}

static int dial_error(enum native_error e, uint16_t code)
{
    switch (e) {
    case NATIVE_OK:
        return 0;
    case NATIVE_MEMORY:
        return ENOMEM;
    case NATIVE_CONNECT:
        if (code != 0)
            return code_error(code) == EPERM ? EPERM : ECONNREFUSED;
        return errno == EACCES || errno == EPERM ? EPERM : ECONNREFUSED;
    case NATIVE_ENDED:
        return ECONNREFUSED;
    default:
        return errno != 0 ? errno : EMFILE;
    }
}

/* Greets the service. */
static int greet(struct handle *h, uint32_t window)
{
    struct native_answer a = { 0 };
    struct writer w = { 0 };
    write_u32(&w, window);
    write_u8(&w, 0);
    native_lock(h->native);
    enum native_error e = w.failed ? NATIVE_MEMORY : native_call(h->native, CALL_OPEN, w.data, w.len, &a);
    native_unlock(h->native);
    write_free(&w);
    if (e != NATIVE_OK)
        return e == NATIVE_MEMORY ? ENOMEM : ECONNREFUSED;
    struct reader r = read_from(a.body, a.len);
    h->self = read_u32(&r);
    h->configured = read_u32(&r);
    free(a.body);
    return a.code != NATIVE_CODE_OK ? code_error(a.code) : h->self != 0 ? 0 : EPROTO;
}

static void free_handle(struct handle *h)
{
    if (h->native != NULL)
        native_unref(h->native);
    close_lamps(h);
    pthread_mutex_destroy(&h->turn);
    free(h);
}

int handle_open(enum face face, uint32_t window, uint32_t most, struct handle **out)
{
    pthread_once(&once, prepare);
    struct handle *h = calloc(1, sizeof *h);
    if (h == NULL)
        return ENOMEM;
    *h = (struct handle){ .face = face, .pid = getpid(), .refs = 1, .most = most, .fd = -1, .watch = -1, .lamp = -1 };
    again_lock_init(&h->turn);
    struct native_config c = { .service = SERVICE, .window = WINDOW, .user = h, .arrived = arrived, .ready = ready };
    uint16_t code;
    errno = 0;
    enum native_error why = native_open(&h->native, &c, &code);
    int e = dial_error(why, code);
    if (e == 0)
        e = greet(h, window);
    if (e == 0 && !open_lamps(h))
        e = errno;
    if (e != 0) {
        if (h->fd >= 0)
            close(h->fd);
        free_handle(h);
        return e;
    }
    *out = h;
    return 0;
}

int handle_call(struct handle *h, uint16_t function, struct writer *w)
{
    struct native_answer a = { 0 };
    native_lock(h->native);
    enum native_error e = w->failed ? NATIVE_MEMORY : native_call(h->native, function, w->data, w->len, &a);
    native_unlock(h->native);
    write_free(w);
    free(a.body);
    return e == NATIVE_OK ? code_error(a.code) : e == NATIVE_MEMORY ? ENOMEM : ECONNREFUSED;
}

bool handle_ended(const struct handle *h) { return h->over || native_ended(h->native); }

void handle_show(struct handle *h, bool anew)
{
    bool waits = !native_empty(h->native), lit = waits && h->given < h->most;
    char byte = 0;
    table_lock();
    if (h->ready && (!lit || anew))
        (void)!read(h->watch, &byte, 1);
    if (lit && (!h->ready || anew))
        send(h->lamp, &byte, 1, MSG_NOSIGNAL);
    bool changed = lit != h->ready;
    h->ready = lit;
    if (!waits && handle_ended(h) && !h->dark) {
        shutdown(h->lamp, SHUT_RDWR);
        h->dark = changed = true;
    }
    if (changed)
        table_changed();
    table_unlock();
}

void handle_grant(struct handle *h, uint32_t n)
{
    struct writer w = { 0 };
    write_u32(&w, n);
    if (!w.failed && !native_ended(h->native))
        native_cast(h->native, CALL_GRANT, 0, w.data, w.len);
    write_free(&w);
}

static void *read_on(void *arg)
{
    struct handle *h = arg;
    native_lock(h->native);
    for (;;) {
        handle_show(h, false);
        if (native_ended(h->native))
            break;
        native_wait(h->native, false);
    }
    native_unlock(h->native);
    return NULL;
}

/* Signals are for the program's threads. */
static int start_reader(struct handle *h)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int e = pthread_create(&h->reader, NULL, read_on, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    h->reading = e == 0;
    return e;
}

static void hang_up(struct handle *h)
{
    native_lock(h->native);
    h->over = h->closed = true;
    native_end(h->native);
    native_unlock(h->native);
    if (h->reading)
        pthread_join(h->reader, NULL);
    if (h->fd >= 0) {
        shutdown(h->lamp, SHUT_RDWR);
        close(h->fd);
    }
}

/* The smallest free number. With the table's lock. */
static int free_id(enum face face)
{
    int id = 0;
    for (struct handle *h = table.first; h != NULL;)
        if (h->face == face && h->id == id) {
            id++;
            h = table.first;
        } else
            h = h->next;
    return id;
}

int handle_start(struct handle *h)
{
    native_lock(h->native);
    native_pump(h->native);
    handle_show(h, false);
    native_unlock(h->native);
    int e = start_reader(h);
    if (e != 0) {
        hang_up(h);
        handle_unref(h);
        return e;
    }
    table_lock();
    h->id = h->face == FACE_04 ? free_id(FACE_04) : h->fd;
    h->listed = true;
    h->next = table.first;
    table.first = h;
    table_changed();
    table_unlock();
    return 0;
}

struct handle *handle_find(enum face face, int id)
{
    pid_t pid = getpid();
    table_lock();
    struct handle *h = table.first;
    while (h != NULL && (h->face != face || h->id != id || h->pid != pid))
        h = h->next;
    if (h != NULL)
        h->refs++;
    table_unlock();
    return h;
}

void handle_ref(struct handle *h)
{
    table_lock();
    h->refs++;
    table_unlock();
}

void handle_unref(struct handle *h)
{
    table_lock();
    int left = --h->refs;
    table_unlock();
    if (left == 0)
        free_handle(h);
}

bool handle_close(struct handle *h)
{
    table_lock();
    bool listed = h->listed;
    struct handle **p = &table.first;
    while (*p != NULL && *p != h)
        p = &(*p)->next;
    if (*p != NULL)
        *p = h->next;
    h->listed = false;
    table_changed();
    table_unlock();
    if (!listed)
        return false;
    hang_up(h);
    if (callbacks == 0) { /* no callback runs when this returns */
        pthread_mutex_lock(&h->turn);
        pthread_mutex_unlock(&h->turn);
    }
    handle_unref(h);
    return true;
}

bool turn_begin(struct handle *h)
{
    pthread_mutex_lock(&h->turn);
    bool free = !h->telling;
    if (!free)
        pthread_mutex_unlock(&h->turn);
    return free;
}

void callback_begin(struct handle *h)
{
    callbacks++;
    h->telling = true;
}

void callback_end(struct handle *h)
{
    h->telling = false;
    callbacks--;
}

void turn_end(struct handle *h) { pthread_mutex_unlock(&h->turn); }

/* record.c - records that programs have not said to be done with. */
#include "events.h"

#include <errno.h>
#include <unistd.h>

static struct record *first; /* with the table's lock */

struct record *record_new(size_t size)
{
    struct record *r = NULL;
    if (size <= WINDOW * 2)
        r = calloc(1, sizeof *r + size);
    return r;
}

void record_give(struct record *r, struct handle *h)
{
    h->given++;
    table_lock();
    h->refs++;
    r->handle = h;
    r->next = first;
    first = r;
    table_unlock();
}

static struct record *take(const void *data)
{
    pid_t pid = getpid();
    table_lock();
    struct record **p = &first;
    while (*p != NULL && ((*p)->data != data || (*p)->handle->pid != pid))
        p = &(*p)->next;
    struct record *r = *p;
    if (r != NULL)
        *p = r->next;
    table_unlock();
    return r;
}

int record_done(const void *data)
{
    struct record *r = data != NULL ? take(data) : NULL;
    if (r == NULL)
        return EINVAL;
    struct handle *h = r->handle;
    native_lock(h->native);
    h->given--;
    handle_grant(h, 1);
    handle_show(h, true);
    native_unlock(h->native);
    handle_unref(h);
    free(r);
    return 0;
}

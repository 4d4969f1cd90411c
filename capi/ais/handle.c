/* handle.c - the table of handles, and how functions of the interface use them. */
#include "core.h"

#include <unistd.h>

enum { FIRST_SLOTS = 64, MAX_SLOTS = 1 << 24 };

/* A handle is the age of a slot, the kind and the slot: one that has ended is not
 * another's soon. */
struct slot {
    uint32_t age;
    struct object *object;
    uint32_t free; /* the next one that is */
};

static struct {
    pthread_mutex_t lock;
    struct slot *slots;
    uint32_t count, free; /* free: count if there is none */
} table = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void lock_table(void) { pthread_mutex_lock(&table.lock); }
static void unlock_table(void) { pthread_mutex_unlock(&table.lock); }

static void free_slot(uint32_t i)
{
    table.slots[i].object = NULL;
    table.slots[i].age++;
    table.slots[i].free = table.free;
    table.free = i;
}

/* A child lets go of what it inherited, so that the agent sees the parent end. The
 * memory may be in use further up the stack. */
static void in_child(void)
{
    for (uint32_t i = 0; i < table.count; i++) {
        struct object *o = table.slots[i].object;
        if (o == NULL)
            continue;
        if (o->ais == (struct ais *)o)
            native_abandon(o->ais->native);
        free_slot(i);
    }
    unlock_table();
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void prepare(void) { pthread_atfork(lock_table, unlock_table, in_child); }

static bool grow(void)
{
    uint32_t count = table.count == 0 ? FIRST_SLOTS : 2 * table.count;
    struct slot *slots = count > MAX_SLOTS ? NULL : realloc(table.slots, count * sizeof *slots);
    if (slots == NULL)
        return false;
    for (uint32_t i = table.count; i < count; i++)
        slots[i] = (struct slot){ .age = 1, .free = i + 1 };
    table.slots = slots;
    table.free = table.count;
    table.count = count;
    return true;
}

bool object_list(struct object *o)
{
    pthread_once(&once, prepare);
    lock_table();
    bool room = table.free < table.count || grow();
    if (room) {
        uint32_t i = table.free;
        struct slot *s = &table.slots[i];
        table.free = s->free;
        s->object = o;
        o->id = (uint64_t)s->age << 32 | (uint64_t)o->kind << 24 | i;
        o->refs = 1;
        if (o->ais != (struct ais *)o)
            o->ais->object.refs++;
    }
    unlock_table();
    return room;
}

/* With the table's lock. NULL: there is none. */
static struct slot *find(uint8_t kind, uint64_t handle)
{
    uint32_t i = handle & (MAX_SLOTS - 1);
    struct slot *s = i < table.count ? &table.slots[i] : NULL;
    return s != NULL && s->object != NULL && s->object->id == handle && s->object->kind == kind ? s : NULL;
}

void object_ref(struct object *o)
{
    lock_table();
    o->refs++;
    unlock_table();
}

void object_unref(struct object *o)
{
    struct ais *h = o->ais;
    bool owner = h != (struct ais *)o;
    lock_table();
    bool last = --o->refs == 0, last_of_owner = last && owner && --h->object.refs == 0;
    unlock_table();
    if (last)
        o->free(o);
    if (last_of_owner)
        h->object.free(&h->object);
}

bool object_end(struct object *o)
{
    lock_table();
    struct slot *s = find(o->kind, o->id);
    bool listed = s != NULL && s->object == o;
    if (listed)
        free_slot((uint32_t)(s - table.slots));
    unlock_table();
    if (listed)
        object_unref(o);
    return listed;
}

void object_end_all(const struct ais *h)
{
    struct object *ended = NULL;
    lock_table();
    for (uint32_t i = 0; i < table.count; i++) {
        struct object *o = table.slots[i].object;
        if (o == NULL || o->ais != h || o == &h->object)
            continue;
        free_slot(i);
        o->next = ended;
        ended = o;
    }
    unlock_table();
    while (ended != NULL) {
        struct object *o = ended;
        ended = o->next;
        object_unref(o);
    }
}

/* What the thread has cancellation set to, outside of the library. */
static _Thread_local int cancellation;

void shield(void)
{
    if (!inside_callback())
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
}

void unshield(void)
{
    if (!inside_callback())
        pthread_setcancelstate(cancellation, NULL);
}

int cancel_state(void) { return cancellation; }

struct object *enter(uint8_t kind, uint64_t handle, SaAisErrorT *e)
{
    struct object *o = NULL;
    pid_t pid = getpid();
    shield();
    lock_table();
    struct slot *s = find(kind, handle);
    if (s != NULL && s->object->ais->pid == pid) {
        o = s->object;
        o->refs++;
    }
    unlock_table();
    *e = SA_AIS_ERR_BAD_HANDLE;
    if (o == NULL) {
        unshield();
        return NULL;
    }
    native_lock(o->ais->native);
    if (o->ais->finalized) {
        leave(o, SA_AIS_ERR_BAD_HANDLE);
        return NULL;
    }
    return o;
}

SaAisErrorT leave(struct object *o, SaAisErrorT e)
{
    native_unlock(o->ais->native);
    object_unref(o);
    unshield();
    return e;
}

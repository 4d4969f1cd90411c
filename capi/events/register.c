/* register.c - registering with the service, and what its codes mean. */
#include "events.h"

#include <errno.h>
#include <ocf/oc_event_common.h>

int code_error(uint16_t code)
{
    switch (code) {
    case NATIVE_CODE_OK:
        return 0;
    case 5: /* it may have happened, or happen yet */
        return ETIMEDOUT;
    case NATIVE_CODE_AGAIN:
    case 15: /* topics keep all that they may */
    case 23:
        return EAGAIN;
    case NATIVE_CODE_NO_MEMORY:
    case NATIVE_CODE_NO_RESOURCES:
        return ENOMEM;
    case 11:
        return EPERM;
    case 26:
        return EMSGSIZE;
    }
    return EINVAL;
}

/* Nobody is registered by an agent that is about to end; it is not asked for more. */
static int enter(struct handle *h, uint16_t function, struct writer *w)
{
    int e = handle_call(h, function, w);
    return e == EAGAIN ? ECONNREFUSED : e;
}

bool right_name(const char *name)
{
    if (name == NULL)
        return false;
    size_t len = strnlen(name, MAX_NAME + 1);
    if (len == 0 || len > MAX_NAME)
        return false;
    return strncmp(name, "__", 2) != 0 || strcmp(name, S_OC_EV_CONN_CLASS) == 0 || strcmp(name, S_OC_EV_MEMB_CLASS) == 0;
}

int call_register(struct handle *h, const char *name, bool special)
{
    uint8_t class = CLASS_GROUP;
    if (strcmp(name, S_OC_EV_CONN_CLASS) == 0)
        class = CLASS_CONN;
    if (strcmp(name, S_OC_EV_MEMB_CLASS) == 0)
        class = CLASS_MEMB;
    struct writer w = { 0 };
    write_u32(&w, SUB);
    write_u8(&w, class);
    write_text(&w, name, class == CLASS_GROUP ? strlen(name) : 0);
    write_u8(&w, special);
    return enter(h, CALL_REGISTER, &w);
}

int call_subscribe(struct handle *h, const char *topic)
{
    struct writer w = { 0 };
    write_u32(&w, SUB);
    write_u32(&w, SUB); /* the open that subscriptions share */
    write_text(&w, topic, strlen(topic));
    write_u64(&w, 0); /* the topic that has the name */
    write_u8(&w, 0);  /* from now on */
    write_u64(&w, 0);
    write_u32(&w, 0); /* no filters */
    return enter(h, CALL_SUBSCRIBE, &w);
}

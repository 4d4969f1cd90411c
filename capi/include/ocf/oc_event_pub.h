/* ocf/oc_event_pub.h - publishing, for which the drafts have no call. */
#ifndef OC_EVENT_PUB_H
#define OC_EVENT_PUB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Publishes on a topic, or casts to a group of draft 0.3, where an re_id that is
 * not zero makes it a reply. Returns 0 when the event has its place in the order,
 * and its number; or -1 and errno. */
int oc_ev_publish(const char *topic, int32_t re_id, const void *data, size_t len, int32_t *ev_id_out);

#ifdef __cplusplus
}
#endif
#endif

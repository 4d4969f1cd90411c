/* ocf/oc_event.h for sources written for libccmclient: draft 0.2 without asking, by the
 * bare names that -lccmclient has. */
#ifndef OC_EVENT_H
#define OC_EVENT_H
#define OC_EVENT_API 20
#define OC_EVENT_IS_20
#define OC_EV_BARE_NAMES
#include <ocf/oc_event_02.h>
#endif

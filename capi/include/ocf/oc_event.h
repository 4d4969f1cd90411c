/*
 * ocf/oc_event.h - the OCF cluster event API. OC_EVENT_API, defined before it is
 * included, says which draft:
 *
 *   20  draft 0.2 as it was shipped: tokens and callbacks
 *   30  draft 0.3, which is meant without it: a descriptor for each class or group
 *   40  draft 0.4: topics
 *   34  0.3 and 0.4
 *
 * Files of one program may choose differently. Link with -l_oc_event.
 */
#ifndef OC_EVENT_API
#define OC_EVENT_API 30
#endif

#ifndef OC_EVENT_H
#define OC_EVENT_H
#if OC_EVENT_API == 20
#define OC_EVENT_IS_20
#include <ocf/oc_event_02.h>
#elif OC_EVENT_API == 30
#define OC_EVENT_IS_30
#include <ocf/oc_event_03.h>
#elif OC_EVENT_API == 40
#define OC_EVENT_IS_40
#include <ocf/oc_event_04.h>
#elif OC_EVENT_API == 34
#define OC_EVENT_IS_34
#include <ocf/oc_event_03.h>
#include <ocf/oc_event_04.h>
#else
#error "OC_EVENT_API is one of 20, 30, 40 and 34"
#endif
#elif OC_EVENT_API == 20 && defined(OC_EVENT_IS_20)
#elif OC_EVENT_API == 30 && defined(OC_EVENT_IS_30)
#elif OC_EVENT_API == 40 && defined(OC_EVENT_IS_40)
#elif OC_EVENT_API == 34 && defined(OC_EVENT_IS_34)
#else
#error "ocf/oc_event.h was included with another OC_EVENT_API before"
#endif

/*
 * clm.h - what the files of the cluster membership service share.
 *
 * What a program tracks is a watch, a registration for the facts of the event service.
 * Its first fact is the membership of the time at which it began; each later one is a
 * view that is told as what changed since.
 */
#ifndef AIS_CLM_H
#define AIS_CLM_H

#include "core.h"
#include "saClm.h"

enum { FACTS = 64 }; /* that may be on their way */

/* A membership as the service tells it. Nodes are ordered by the view in which they
 * joined and by number. */
struct view {
    uint64_t number;
    uint32_t count;
    SaClmClusterNodeT *nodes; /* to be freed */
};

struct watch {
    struct watch *next;
    uint32_t sub;
    bool tracks;  /* changes, in the way that flags say; at most one does */
    bool current; /* its first view is told */
    bool begun;   /* it had its first one */
    bool away;    /* the others went on without this node since */
    bool ended;   /* by the service, because of that: it is to begin again */
    bool over;    /* nothing more is to be told of it */
    uint64_t known; /* the program knows views up to this one */
    struct view view;
};

struct clm {
    struct ais ais;
    SaClmCallbacksT callbacks;
    SaUint8T flags; /* of the watch that tracks */
    uint32_t last;  /* sub */
    uint32_t due;   /* facts that came and were not granted again */
    struct watch *watches;
};

/* clm_view.c */

/* Reads a fact, of which *kind is told; false: it makes no sense, or there is no
 * memory. */
bool read_view(struct reader *r, uint8_t *kind, struct view *v);
void free_view(struct view *v);
const SaClmClusterNodeT *find_node(const struct view *v, SaClmNodeIdT id);
/* The items of a view as it is, or as it differs from the one before; away: this node
 * saw none of those in between. NULL: no memory. */
SaClmClusterNotificationT *items_of(const struct view *v);
SaClmClusterNotificationT *changes_of(const struct view *before, const struct view *v, const SaClmNodeIdT *away, bool only, uint32_t *count);

/* What is to be told before a view: that nodes left which are back in it. Without nodes:
 * nothing is. False: no memory. */
bool between_views(const struct view *before, const struct view *v, struct view *between);

/* clm_track.c */
bool clm_arrived(struct ais *h, const struct native_event *e);
bool clm_more(const struct ais *h);
void clm_tidy(struct ais *h);
void free_watches(struct clm *c);

/* clm.c */

/* The members of now. TRY_AGAIN: this node is not in the primary component. */
SaAisErrorT present(struct clm *c, const struct timespec *deadline, struct view *v);

#endif

/* clm_view.c - views, and what is different in them. */
#include "clm.h"

enum { MIN_NODE = 4 + 4 + 4 + 1 + 1 + 8 };

/* Views have even numbers. The odd ones between are for nodes that left and are back with
 * one fact. */
static uint64_t view_number(uint32_t seq) { return 2 * (uint64_t)seq; }

static void read_address(struct reader *r, SaClmNodeAddressT *a)
{
    uint8_t len = read_u8(r);
    const uint8_t *text = read_bytes(r, len);
    if (text == NULL || len > sizeof a->value) {
        r->bad = true;
        return;
    }
    a->family = memchr(text, ':', len) != NULL ? SA_CLM_AF_INET6 : SA_CLM_AF_INET;
    a->length = len;
    memcpy(a->value, text, len);
}

static void read_node(struct reader *r, SaClmClusterNodeT *n)
{
    n->nodeId = read_u32(r);
    n->initialViewNumber = view_number(read_u32(r));
    read_u32(r); /* the same in another count */
    n->nodeName.length = read_u8(r);
    const uint8_t *name = read_bytes(r, n->nodeName.length);
    if (name != NULL)
        memcpy(n->nodeName.value, name, n->nodeName.length);
    read_address(r, &n->nodeAddress);
    n->bootTimestamp = (SaTimeT)read_u64(r);
    if (n->bootTimestamp == 0)
        n->bootTimestamp = SA_TIME_UNKNOWN;
    n->member = SA_TRUE;
}

static void skip_nodes(struct reader *r)
{
    SaClmClusterNodeT n;
    for (uint32_t left = read_count(r, MIN_NODE); left > 0; left--)
        read_node(r, &n);
}

bool read_view(struct reader *r, uint8_t *kind, struct view *v)
{
    *v = (struct view){ 0 };
    *kind = read_u8(r);
    v->number = view_number(read_u32(r));
    read_u32(r);
    read_bool(r);
    v->count = read_count(r, MIN_NODE);
    v->nodes = calloc(v->count > 0 ? v->count : 1, sizeof *v->nodes);
    for (uint32_t i = 0; v->nodes != NULL && i < v->count; i++)
        read_node(r, &v->nodes[i]);
    skip_nodes(r); /* who joined and who left since the view before: */
    skip_nodes(r); /* the program may have missed that one */
    if (v->nodes != NULL && read_all(r))
        return true;
    free_view(v);
    return false;
}

void free_view(struct view *v)
{
    free(v->nodes);
    *v = (struct view){ 0 };
}

const SaClmClusterNodeT *find_node(const struct view *v, SaClmNodeIdT id)
{
    for (uint32_t i = 0; i < v->count; i++)
        if (v->nodes[i].nodeId == id)
            return &v->nodes[i];
    return NULL;
}

static SaClmClusterNotificationT *allocate(uint32_t count) { return calloc(count > 0 ? count : 1, sizeof(SaClmClusterNotificationT)); }

SaClmClusterNotificationT *items_of(const struct view *v)
{
    SaClmClusterNotificationT *items = allocate(v->count);
    for (uint32_t i = 0; items != NULL && i < v->count; i++)
        items[i] = (SaClmClusterNotificationT){ v->nodes[i], SA_CLM_NODE_NO_CHANGE };
    return items;
}

static const SaClmClusterNodeT *find_same(const struct view *v, const SaClmClusterNodeT *n)
{
    const SaClmClusterNodeT *same = find_node(v, n->nodeId);
    return same != NULL && same->initialViewNumber == n->initialViewNumber ? same : NULL;
}

bool between_views(const struct view *before, const struct view *v, struct view *between)
{
    bool back = false;
    *between = (struct view){ .number = v->number - 1, .nodes = calloc(v->count > 0 ? v->count : 1, sizeof *v->nodes) };
    if (between->nodes == NULL)
        return false;
    for (uint32_t i = 0; i < v->count; i++)
        if (find_same(before, &v->nodes[i]) != NULL)
            between->nodes[between->count++] = v->nodes[i];
        else
            back = back || find_node(before, v->nodes[i].nodeId) != NULL;
    if (!back)
        free_view(between);
    return true;
}

static SaClmClusterChangesT change_of(const struct view *before, const SaClmClusterNodeT *n, const SaClmNodeIdT *away)
{
    bool stayed = away != NULL ? n->nodeId == *away : find_same(before, n) != NULL;
    return stayed ? SA_CLM_NODE_NO_CHANGE : SA_CLM_NODE_JOINED;
}

SaClmClusterNotificationT *changes_of(const struct view *before, const struct view *v, const SaClmNodeIdT *away, bool only, uint32_t *count)
{
    SaClmClusterNotificationT *items = allocate(before->count + v->count);
    *count = 0;
    if (items == NULL)
        return NULL;
    for (uint32_t i = 0; i < v->count; i++) {
        SaClmClusterChangesT change = change_of(before, &v->nodes[i], away);
        if (!only || change != SA_CLM_NODE_NO_CHANGE)
            items[(*count)++] = (SaClmClusterNotificationT){ v->nodes[i], change };
    }
    for (uint32_t i = 0; i < before->count; i++)
        if (find_node(v, before->nodes[i].nodeId) == NULL) {
            items[*count] = (SaClmClusterNotificationT){ before->nodes[i], SA_CLM_NODE_LEFT };
            items[(*count)++].clusterNode.member = SA_FALSE;
        }
    return items;
}

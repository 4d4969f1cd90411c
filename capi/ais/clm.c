/* clm.c - handles of the cluster membership service, and single nodes. */
#include "clm.h"

static void free_clm(struct ais *h)
{
    free_watches((struct clm *)h);
    free(h);
}

static const struct ais_service service = {
    .kind = KIND_CLM,
    .version = { 'B', 2, 1 },
    .window = FACTS,
    .arrived = clm_arrived,
    .more = clm_more,
    .tidy = clm_tidy,
    .free = free_clm,
};

PUBLIC SaAisErrorT saClmInitialize(SaClmHandleT *clmHandle, const SaClmCallbacksT *clmCallbacks, SaVersionT *version)
{
    if (clmHandle == NULL || version == NULL)
        return SA_AIS_ERR_INVALID_PARAM;
    SaAisErrorT e = ais_agree(version, &service.version);
    if (e != SA_AIS_OK)
        return e;
    struct clm *c = calloc(1, sizeof *c);
    if (c == NULL)
        return SA_AIS_ERR_NO_MEMORY;
    if (clmCallbacks != NULL)
        c->callbacks = *clmCallbacks;
    e = ais_open(&c->ais, &service);
    if (e == SA_AIS_OK)
        *clmHandle = c->ais.object.id;
    return e;
}

PUBLIC SaAisErrorT saClmSelectionObjectGet(SaClmHandleT clmHandle, SaSelectionObjectT *selectionObject)
{
    return ais_selection_object(KIND_CLM, clmHandle, selectionObject);
}

PUBLIC SaAisErrorT saClmDispatch(SaClmHandleT clmHandle, SaDispatchFlagsT dispatchFlags)
{
    return ais_dispatch(KIND_CLM, clmHandle, dispatchFlags);
}

PUBLIC SaAisErrorT saClmFinalize(SaClmHandleT clmHandle) { return ais_finalize(KIND_CLM, clmHandle); }

SaAisErrorT present(struct clm *c, const struct timespec *deadline, struct view *v)
{
    struct native_answer a;
    uint8_t kind;
    SaAisErrorT e = ais_status(&c->ais, deadline, &a);
    if (e != SA_AIS_OK)
        return e;
    struct reader r = read_from(a.body, a.len);
    read_u8(&r); /* that this node is a member */
    e = read_view(&r, &kind, v) ? SA_AIS_OK : SA_AIS_ERR_LIBRARY;
    free(a.body);
    return e;
}

/* Finds a member. INVALID_PARAM: it is none. */
static SaAisErrorT get_node(struct clm *c, SaClmNodeIdT id, const struct timespec *deadline, SaClmClusterNodeT *out)
{
    struct view v;
    SaAisErrorT e = present(c, deadline, &v);
    if (e != SA_AIS_OK)
        return e;
    const SaClmClusterNodeT *n = find_node(&v, id == SA_CLM_LOCAL_NODE_ID ? c->ais.self : id);
    if (n != NULL)
        *out = *n;
    free_view(&v);
    return n != NULL ? SA_AIS_OK : SA_AIS_ERR_INVALID_PARAM;
}

PUBLIC SaAisErrorT saClmClusterNodeGet(SaClmHandleT clmHandle, SaClmNodeIdT nodeId, SaTimeT timeout, SaClmClusterNodeT *clusterNode)
{
    SaAisErrorT e;
    struct timespec t;
    const struct timespec *deadline;
    struct object *o = enter(KIND_CLM, clmHandle, &e);
    if (o == NULL)
        return e;
    if (timeout < 0 || clusterNode == NULL)
        return leave(o, SA_AIS_ERR_INVALID_PARAM);
    if (!ais_deadline(timeout, &t, &deadline))
        return leave(o, SA_AIS_ERR_TIMEOUT);
    return leave(o, get_node((struct clm *)o, nodeId, deadline, clusterNode));
}

/* The outcome of saClmClusterNodeGetAsync. */
struct got {
    struct callback callback;
    SaClmClusterNodeGetCallbackT told;
    SaInvocationT invocation;
    SaClmClusterNodeT node;
    SaAisErrorT error;
};

static void tell_node(struct callback *c)
{
    struct got *g = (struct got *)c;
    g->told(g->invocation, &g->node, g->error);
    free(g);
}

static void drop_node(struct callback *c) { free(c); }

PUBLIC SaAisErrorT saClmClusterNodeGetAsync(SaClmHandleT clmHandle, SaInvocationT invocation, SaClmNodeIdT nodeId)
{
    SaAisErrorT e;
    struct object *o = enter(KIND_CLM, clmHandle, &e);
    if (o == NULL)
        return e;
    struct clm *c = (struct clm *)o;
    if (c->callbacks.saClmClusterNodeGetCallback == NULL)
        return leave(o, SA_AIS_ERR_INIT);
    struct got *g = calloc(1, sizeof *g);
    if (g == NULL)
        return leave(o, SA_AIS_ERR_NO_MEMORY);
    g->callback.run = tell_node;
    g->callback.drop = drop_node;
    g->told = c->callbacks.saClmClusterNodeGetCallback;
    g->invocation = invocation;
    g->error = get_node(c, nodeId, NULL, &g->node);
    if (g->error != SA_AIS_OK && g->error != SA_AIS_ERR_INVALID_PARAM) {
        e = g->error;
        free(g);
        return leave(o, e);
    }
    ais_queue(&c->ais, &g->callback);
    return leave(o, SA_AIS_OK);
}

/* clm.c - the life of a handle of the cluster membership service. */
#include "clm.h"

static bool arrived(struct ais *h, const struct native_event *e)
{
    (void)h, (void)e;
    return true;
}

static void free_clm(struct ais *h) { free(h); }

static const struct ais_service service = { .kind = KIND_CLM, .version = { 'B', 2, 1 }, .window = FACTS, .arrived = arrived, .free = free_clm };

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

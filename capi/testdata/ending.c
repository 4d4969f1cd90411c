/* ending.c - a program of three drafts comes to an agent that is about to end. */
#define OC_EVENT_API 34
#include <ocf/oc_event.h>

#include "want.h"

#include <errno.h>

static void on_event(const oc_ev_data_t *d) { (void)d; }

static void refused(int result)
{
    WANT(result, -1);
    WANT(errno, ECONNREFUSED);
    errno = 0;
}

int main(void)
{
    refused(oc_ev_register(S_OC_EV_MEMB_CLASS, on_event));
    refused(oc_ev_register("g", on_event));
    refused(oc_ev_subscribe("g", NULL));
    printf("all right\n");
    return 0;
}

/* clm.h - what the files of the cluster membership service share. */
#ifndef AIS_CLM_H
#define AIS_CLM_H

#include "core.h"
#include "saClm.h"

enum { FACTS = 64 }; /* that may be on their way */

struct clm {
    struct ais ais;
    SaClmCallbacksT callbacks;
};

#endif

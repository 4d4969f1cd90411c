/* want.h - checks of test programs. */
#ifndef WANT_H
#define WANT_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define WANT(got, want)                                                                                   \
    do {                                                                                                  \
        long got_ = (long)(got), want_ = (long)(want);                                                    \
        if (got_ != want_) {                                                                              \
            fprintf(stderr, "%s:%d: %s is %ld, want %ld\n", __FILE__, __LINE__, #got, got_, want_);       \
            abort();                                                                                      \
        }                                                                                                 \
    } while (0)

#define TRUE(what) WANT((what) != 0, 1)

#endif

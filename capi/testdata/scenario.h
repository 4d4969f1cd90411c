/* scenario.h - programs that play the scenarios whose names they are given. */
#ifndef SCENARIO_H
#define SCENARIO_H

#include "want.h"

#include <string.h>

struct scenario {
    const char *name;
    void (*play)(void);
};

/* main, of a list that ends with a NULL name. */
static inline int play(const struct scenario *s, int argc, char **argv)
{
    TRUE(argc == 2);
    while (s->name != NULL && strcmp(s->name, argv[1]) != 0)
        s++;
    TRUE(s->name != NULL);
    s->play();
    printf("all right\n");
    return 0;
}

#endif

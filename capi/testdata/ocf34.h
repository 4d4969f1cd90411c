/* ocf34.h - what the file of draft 0.3 does for the one of draft 0.4. */
#include <stddef.h>

int enter_group(const char *name);
void leave_group(int fd);
void check_record(const void *data, size_t size);

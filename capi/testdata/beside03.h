/* beside03.h - what the file of draft 0.3 does for the one of draft 0.4. */
#include <stddef.h>
#include <stdint.h>

int enter_group(const char *name);
/* The next event of the group is a reply. */
void check_reply(int fd, uint32_t re, const char *text);
void leave_group(int fd);
/* The data of a topic is the record of three members. */
void check_record(const void *data, size_t size);

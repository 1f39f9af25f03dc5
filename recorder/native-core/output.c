#include "output.h"

#include <stdbool.h>
#include <sys/stat.h>

static struct {
    dev_t device;
    ino_t file;
    bool is_open;
} at_start[3]; /* by descriptor; 0 is not used */

static bool duplicated;

void output_open(void)
{
    struct stat info;
    for (int fd = 1; fd <= 2; fd++) {
        at_start[fd].is_open = fstat(fd, &info) == 0;
        if (at_start[fd].is_open) {
            at_start[fd].device = info.st_dev;
            at_start[fd].file = info.st_ino;
        }
    }
}

void output_duplicated(void)
{
    duplicated = true;
}

int output_stream(int fd)
{
    struct stat info;
    bool standard = fd == 1 || fd == 2;
    if ((!standard && !duplicated) || fstat(fd, &info) < 0)
        return 0;
    int other = fd == 1 ? 2 : 1, own = standard ? fd : 2;
    const int order[] = {own, other};
    for (int i = 0; i < 2; i++) {
        int at = order[i];
        if (at_start[at].is_open && at_start[at].device == info.st_dev && at_start[at].file == info.st_ino)
            return at;
    }
    return 0;
}

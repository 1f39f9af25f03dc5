#define _GNU_SOURCE
/* Calls of the C library whose results are memory that it allocates: paths, addresses of hosts. */
#include "foreign_arguments.h"
#include "foreign_names.h"
#include "threads.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

/* --- paths ------------------------------------------------------------------------------------------------ */

/* getcwd(buffer, size) and realpath(path, buffer): the text goes into the buffer, or into a new one. */
static long cross_path(unsigned function, const long *a, char *buffer)
{
    foreign_call call;
    foreign_read(&call, function, a);
    if (core_mode == MODE_RECORD) {
        char *found = (char *)foreign_real[function](a[0], a[1], 0, 0, 0, 0);
        foreign_record(&call, found != NULL, found, found ? strlen(found) + 1 : 0);
        return (long)found;
    }
    const char *data;
    size_t size;
    if (!foreign_replay(&call, &data, &size) || !data || !size)
        return 0;
    char *into = buffer ? buffer : malloc(size);
    if (into)
        memcpy(into, data, size);
    return (long)into;
}

long foreign_getcwd(unsigned function, const long *a)
{
    return cross_path(function, a, (char *)a[0]);
}

long foreign_realpath(unsigned function, const long *a)
{
    return cross_path(function, a, (char *)a[1]);
}

/* --- hosts ------------------------------------------------------------------------------------------------ */

/* A list of addresses as bytes: for each five ints (flags, family, type, protocol, bytes of the address), the address,
 * an int (bytes of the name, with its end; 0: none), the name. */
typedef struct {
    char *data;
    size_t used, size;
} text;

static bool add(text *t, const void *data, size_t size)
{
    if (t->used + size > t->size) {
        size_t more = (t->used + size) * 2;
        char *grown = realloc(t->data, more);
        if (!grown)
            return false;
        t->data = grown;
        t->size = more;
    }
    memcpy(t->data + t->used, data, size);
    t->used += size;
    return true;
}

static bool flatten(const struct addrinfo *list, text *t)
{
    bool good = true;
    for (; list && good; list = list->ai_next) {
        int fields[] = {list->ai_flags, list->ai_family, list->ai_socktype, list->ai_protocol, (int)list->ai_addrlen};
        int name = list->ai_canonname ? (int)strlen(list->ai_canonname) + 1 : 0;
        good = add(t, fields, sizeof fields) && add(t, list->ai_addr, list->ai_addrlen) &&
               add(t, &name, sizeof name) && add(t, list->ai_canonname ? list->ai_canonname : "", (size_t)name);
    }
    return good;
}

static const char *take(const char **p, const char *end, size_t size)
{
    const char *at = *p;
    if ((size_t)(end - at) < size)
        return NULL;
    *p += size;
    return at;
}

/* One element in one block: it, its address, its name. NULL: damaged, or no memory. */
static struct addrinfo *rebuild_one(const char **p, const char *end)
{
    int fields[5], name;
    const char *head = take(p, end, sizeof fields);
    if (!head)
        return NULL;
    memcpy(fields, head, sizeof fields);
    const char *address = fields[4] < 0 ? NULL : take(p, end, (size_t)fields[4]);
    const char *length = address ? take(p, end, sizeof name) : NULL;
    if (!length)
        return NULL;
    memcpy(&name, length, sizeof name);
    const char *named = name < 0 ? NULL : take(p, end, (size_t)name);
    struct addrinfo *made = named ? calloc(1, sizeof *made + (size_t)fields[4] + (size_t)name) : NULL;
    if (!made)
        return NULL;
    *made = (struct addrinfo){.ai_flags = fields[0], .ai_family = fields[1], .ai_socktype = fields[2],
                              .ai_protocol = fields[3], .ai_addrlen = (socklen_t)fields[4]};
    made->ai_addr = (struct sockaddr *)(made + 1);
    memcpy(made->ai_addr, address, (size_t)fields[4]);
    if (name) {
        made->ai_canonname = (char *)(made + 1) + fields[4];
        memcpy(made->ai_canonname, named, (size_t)name);
    }
    return made;
}

static void free_rebuilt(struct addrinfo *list)
{
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

static int replay_hosts(const foreign_call *call, struct addrinfo **list)
{
    const char *data;
    size_t size;
    int result = (int)foreign_replay(call, &data, &size);
    struct addrinfo **at = list;
    *list = NULL;
    for (const char *p = data, *end = data ? data + size : NULL; data && p < end; at = &(*at)->ai_next) {
        *at = rebuild_one(&p, end);
        if (!*at) {
            free_rebuilt(*list);
            *list = NULL;
            return EAI_MEMORY;
        }
    }
    return result;
}

long foreign_getaddrinfo(unsigned function, const long *a)
{
    foreign_call call;
    struct addrinfo **list = (struct addrinfo **)a[3];
    foreign_read(&call, function, a);
    if (core_mode == MODE_REPLAY)
        return replay_hosts(&call, list);
    text flat = {NULL, 0, 0};
    int result = (int)foreign_run(function, a);
    bool good = result != 0 || flatten(*list, &flat);
    foreign_record(&call, good ? result : EAI_MEMORY, flat.data, flat.used);
    free(flat.data);
    return result;
}

/* In replay the list is our own. */
long foreign_freeaddrinfo(unsigned function, const long *a)
{
    if (core_mode == MODE_REPLAY)
        free_rebuilt((struct addrinfo *)a[0]);
    else
        foreign_real[function](a[0], 0, 0, 0, 0, 0);
    return 0;
}

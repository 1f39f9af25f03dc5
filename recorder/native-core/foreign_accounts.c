#define _GNU_SOURCE
/* Accounts that an extension looks up: struct passwd, whose strings lie in memory of the caller's. */
#include "foreign_arguments.h"
#include "foreign_names.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>

#define STRINGS 5

static char **strings_of(struct passwd *account, unsigned i)
{
    char **const all[STRINGS] = {&account->pw_name, &account->pw_passwd, &account->pw_gecos, &account->pw_dir,
                                 &account->pw_shell};
    return all[i];
}

/* uid, gid, then the strings with their ends; the size, or 0 when it is too small. */
static size_t flatten(struct passwd *account, char *into, size_t size)
{
    uint32_t numbers[] = {account->pw_uid, account->pw_gid};
    size_t used = sizeof numbers;
    memcpy(into, numbers, sizeof numbers);
    for (unsigned i = 0; i < STRINGS; i++) {
        const char *text = *strings_of(account, i) ? *strings_of(account, i) : "";
        size_t n = strlen(text) + 1;
        if (used + n > size)
            return 0;
        memcpy(into + used, text, n);
        used += n;
    }
    return used;
}

/* 0, or ERANGE when the memory is too small. */
static int rebuild(struct passwd *account, const char *data, size_t size, char *memory, size_t room)
{
    uint32_t numbers[2];
    if (size < sizeof numbers || size - sizeof numbers > room || data[size - 1])
        return ERANGE;
    memcpy(numbers, data, sizeof numbers);
    account->pw_uid = numbers[0];
    account->pw_gid = numbers[1];
    memcpy(memory, data + sizeof numbers, size - sizeof numbers);
    char *end = memory + size - sizeof numbers;
    for (unsigned i = 0; i < STRINGS; i++) {
        *strings_of(account, i) = memory < end ? memory : end - 1;
        memory += memory < end ? strlen(memory) + 1 : 0;
    }
    return 0;
}

/* getpwuid_r and getpwnam_r (who, account, memory, size, result). */
long foreign_account(unsigned function, const long *a)
{
    foreign_call call;
    struct passwd *account = (struct passwd *)a[1], **found = (struct passwd **)a[4];
    foreign_read(&call, function, a);
    if (core_mode == MODE_RECORD) {
        char flat[4096];
        int result = (int)foreign_real[function](a[0], a[1], a[2], a[3], a[4], 0);
        size_t size = result == 0 && *found ? flatten(*found, flat, sizeof flat) : 0;
        foreign_record(&call, result, size ? flat : NULL, size);
        return result;
    }
    const char *data;
    size_t size;
    int result = (int)foreign_replay(&call, &data, &size);
    *found = NULL;
    if (result == 0 && data) {
        result = rebuild(account, data, size, (char *)a[2], (size_t)a[3]);
        *found = result ? NULL : account;
    }
    return result;
}

/* getpwuid and getpwnam (who): the C library's own memory. */
long foreign_account_shared(unsigned function, const long *a)
{
    static struct passwd account;
    static char memory[4096];
    foreign_call call;
    foreign_read(&call, function, a);
    if (core_mode == MODE_RECORD) {
        char flat[4096];
        struct passwd *found = (struct passwd *)foreign_real[function](a[0], 0, 0, 0, 0, 0);
        size_t size = found ? flatten(found, flat, sizeof flat) : 0;
        foreign_record(&call, found != NULL, size ? flat : NULL, size);
        return (long)found;
    }
    const char *data;
    size_t size;
    if (!foreign_replay(&call, &data, &size) || !data || rebuild(&account, data, size, memory, sizeof memory))
        return 0;
    return (long)&account;
}

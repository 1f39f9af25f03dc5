/* The random numbers of a copy of OpenSSL that an extension brings along.
 *
 * OpenSSL seeds its generator with a cycle counter and with addresses besides what it asks the system for, so the same
 * answers from the system do not give the same numbers. But it lets a program replace the generator: ours takes every
 * number from getrandom(), which is at the boundary. Keys, signatures and TLS handshakes are then computed again in
 * replay, from the recorded numbers. */
#ifndef RETROSCOPE_FOREIGN_RANDOMNESS_H
#define RETROSCOPE_FOREIGN_RANDOMNESS_H

#include <link.h>
#include <stdbool.h>

/* A library was loaded: if there is an OpenSSL in it, that takes its random numbers from us from now on. */
void foreign_randomness_give(const struct dl_phdr_info *library);

/* Does the loaded library with this path, or the end of a path, take them from us? */
bool foreign_randomness_is_ours(const char *path);

#endif

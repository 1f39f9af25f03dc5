/* BLAKE2b (RFC 7693), unkeyed, 16 bytes of digest: the name of a source file's content. */
#ifndef RETROSCOPE_BLAKE2B_H
#define RETROSCOPE_BLAKE2B_H

#include <stddef.h>

void blake2b_16(unsigned char digest[16], const void *data, size_t n);

#endif

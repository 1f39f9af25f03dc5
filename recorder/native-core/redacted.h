/* `scope record --redact`: what is stored has stand-ins in the place of secrets (trace/redaction.py), and a replay finds
 * these. So that handing a secret over is no difference, digests of arguments are made as if it were the stand-in. */
#ifndef RETROSCOPE_REDACTED_H
#define RETROSCOPE_REDACTED_H

#include <stdbool.h>
#include <stddef.h>

/* Are there any secrets? */
extern bool redacted_any;

/* A copy of `data` with stand-ins, to be freed; NULL where no secret is in it. */
char *redacted_copy(const void *data, size_t size);

#endif

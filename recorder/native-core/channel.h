/* One end of a control socket (AF_UNIX, SOCK_SEQPACKET) and the descriptors that travel over it. Linux only.
 * Nothing here allocates. */
#ifndef RETROSCOPE_CHANNEL_H
#define RETROSCOPE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Largest message in either direction. */
#define CHANNEL_BYTES (1 << 18)

/* Moves `fd` out of the program's sight: as high as the limit on descriptors lets it, close-on-exec. Returns the
 * new number; `fd` itself when there is no room. */
int channel_move_up(int fd);

/* Waits for a message: its size, 0 when the other end is closed. *passed is the descriptor that came with it,
 * or -1. */
ssize_t channel_receive(int fd, char *buffer, size_t size, int *passed);

/* Sends one message: false when the other end is closed. */
bool channel_send(int fd, const void *head, size_t head_size, const void *body, size_t body_size,
                  const void *tail, size_t tail_size);

/* Whether the other end is closed, or a QUIT waits; does not wait. */
bool channel_is_over(int fd, unsigned quit);

#endif

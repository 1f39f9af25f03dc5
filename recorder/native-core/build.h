/* Of which build this core and this interpreter are; a trace says by which it was recorded. */
#ifndef RETROSCOPE_BUILD_H
#define RETROSCOPE_BUILD_H

/* A hash of the C sources of this core, as hexadecimal digits; fingerprint.cmake makes the file that defines it. */
extern const char core_sources[];

#endif

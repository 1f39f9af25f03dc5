/* Rules (foreign.h) for calls that return paths, addresses of hosts, accounts. */
#ifndef RETROSCOPE_FOREIGN_NAMES_H
#define RETROSCOPE_FOREIGN_NAMES_H

#include "foreign.h"

long foreign_getcwd(unsigned function, const long *arguments);
long foreign_realpath(unsigned function, const long *arguments);
long foreign_getaddrinfo(unsigned function, const long *arguments);
long foreign_freeaddrinfo(unsigned function, const long *arguments);
long foreign_account(unsigned function, const long *arguments);
long foreign_account_shared(unsigned function, const long *arguments);

#endif

/* SPDX-License-Identifier: MIT */
/** port.h - ports of the loopback addresses that nobody else gets. */
#ifndef TESTS_SUPPORT_PORT_H
#define TESTS_SUPPORT_PORT_H

#include <stdbool.h>

/* A port of 127.0.0.1, or ::1, that stays reserved while the descriptor is open. Who connects to it
 * is refused, but while a server listens on it: that has to set SO_REUSEADDR, as all do, and to
 * name it; nobody is given it by chance. -> descriptor or -errno */
int port_reserve(bool ip6, int *out_port);
/* A socket to listen on a reserved port with; non-blocking. -> descriptor or -errno */
int port_bind(bool ip6, int port);

#endif

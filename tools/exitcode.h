/* SPDX-License-Identifier: MIT */
/** Exit codes of the transfer command: curl's. */
#ifndef TOOLS_EXITCODE_H
#define TOOLS_EXITCODE_H

struct aioduct_error;
struct options;

enum {
    EXIT_SCHEME = 1, /* neither http nor https, or the peer does not speak HTTP */
    EXIT_USAGE = 2,  /* command line, configuration, runtime */
    EXIT_URL = 3,
    EXIT_RESOLVE = 6,
    EXIT_CONNECT = 7,
    EXIT_WEIRD = 8,  /* an answer that breaks HTTP */
    EXIT_HTTP2 = 16, /* a connection that breaks HTTP/2 */
    EXIT_PARTIAL = 18,
    EXIT_STATUS = 22, /* -f */
    EXIT_WRITE = 23,
    EXIT_READ = 26,
    EXIT_MEMORY = 27,
    EXIT_TIMEOUT = 28,
    EXIT_TLS = 35,
    EXIT_INTERFACE = 45,
    EXIT_EMPTY = 52,
    EXIT_SEND = 55,
    EXIT_RECV = 56,
    EXIT_CERT = 58,
    EXIT_VERIFY = 60,
    EXIT_FILESIZE = 63, /* --max-filesize */
    EXIT_CACERT = 77,
    EXIT_STREAM = 92 /* HTTP/2: this transfer alone was ended */
};

int exitcode_of(const struct aioduct_error *error, const struct options *options);

#endif

/* SPDX-License-Identifier: MIT */
/** -w: a format with %{variables}, curl's names where curl has them. */
#ifndef TOOLS_WRITEOUT_H
#define TOOLS_WRITEOUT_H

#include <aioduct/aioduct.h>

/* What one transfer leaves behind for -w; strings are borrowed. */
struct transfer_record {
    const char *url, *method, *runtime, *runtime_origin, *file;
    char content_type[256];
    char peer_address[64], local_address[64], protocol[16], tls_version[16], tls_cipher[64];
    int status, version, peer_port, local_port, exit_code, connects;
    uint64_t head_bytes, body_bytes, upload_bytes, request_bytes;
    struct aioduct_timings timings;
    struct aioduct_error error;
};

void writeout(const char *format, const struct transfer_record *record);

#endif

/* SPDX-License-Identifier: MIT */
/** -w: a format with %{variables}, curl's names where curl has them. */
#ifndef TOOLS_WRITEOUT_H
#define TOOLS_WRITEOUT_H

#include <aioduct/aioduct.h>

/* What one transfer leaves behind for -w; strings are borrowed, but for the head. */
struct transfer_record {
    const char *url, *given_url, *method, *runtime, *runtime_origin, *file, *referer;
    char peer_address[128], local_address[128], protocol[16], tls_version[16], tls_cipher[64];
    int status, version, peer_port, local_port, exit_code, connects, replays;
    size_t index;
    uint64_t head_bytes, body_bytes, upload_bytes, request_bytes, connection;
    struct aioduct_timings timings;
    struct aioduct_error error;
    /* fields of the final head: a name and a value behind another, each with its NUL; owned */
    char *fields;
    size_t field_count;
};

/* Keep what a final head says. */
void record_head(struct transfer_record *record, const struct aioduct_head *head);
void record_fini(struct transfer_record *record);
/* Value of the first field of that name; NULL: there is none. */
const char *record_field(const struct transfer_record *record, const char *name, size_t bytes);

void writeout(const char *format, const struct transfer_record *record);

#endif

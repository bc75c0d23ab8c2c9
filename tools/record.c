/* SPDX-License-Identifier: MIT */
/* The head that a transfer keeps for -w. */
#include "writeout.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static char *put(char *to, const char *bytes, uint32_t count)
{
    to = mempcpy(to, bytes, count);
    *to = '\0';
    return to + 1;
}

void record_head(struct transfer_record *r, const struct aioduct_head *head)
{
    size_t bytes = 1;
    r->status = head->status;
    r->version = head->version;
    for (uint32_t i = 0; i < head->header_count; i++) {
        bytes += head->headers[i].name_bytes + head->headers[i].value_bytes + 2;
    }
    free(r->fields);
    r->fields = malloc(bytes);
    r->field_count = 0;
    if (r->fields == NULL) {
        return; /* -w shows none then */
    }
    char *to = r->fields;
    for (uint32_t i = 0; i < head->header_count; i++) {
        to = put(to, head->headers[i].name, head->headers[i].name_bytes);
        to = put(to, head->headers[i].value, head->headers[i].value_bytes);
    }
    r->field_count = head->header_count;
}

void record_fini(struct transfer_record *r)
{
    free(r->fields);
    r->fields = NULL;
    r->field_count = 0;
}

const char *record_field(const struct transfer_record *r, const char *name, size_t bytes)
{
    const char *at = r->fields;
    for (size_t i = 0; i < r->field_count; i++) {
        const char *value = at + strlen(at) + 1;
        if (strlen(at) == bytes && strncasecmp(at, name, bytes) == 0) {
            return value;
        }
        at = value + strlen(value) + 1;
    }
    return NULL;
}

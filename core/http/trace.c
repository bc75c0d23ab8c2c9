/* SPDX-License-Identifier: MIT */
/* Heads in the log, at trace level. What is shown is what the program asked for and what the codec
 * understood: the same on every protocol. */
#include "http/event.h"
#include "http/redact.h"
#include "http/request.h"

#include <inttypes.h>
#include <stdio.h>

#define VALUE_BYTES 1536 /* the rest of a longer one is not shown */

static void line(const struct aioduct_exchange *ex, char mark, const char *text)
{
    ad_logf(AD_LOG_TRACE, "exchange %" PRIu64 " conn %" PRIu64 ": %c %s", ex->number,
            ex->conn != NULL ? ex->conn->number : 0, mark, text);
}

static void field(const struct aioduct_exchange *ex, char mark, struct ad_slice name,
                  struct ad_slice value)
{
    char shown[VALUE_BYTES], text[VALUE_BYTES + 300];
    ad_redact_field(shown, sizeof shown, name, value);
    snprintf(text, sizeof text, "%.*s: %s", name.bytes > 256 ? 256 : (int)name.bytes, name.p,
             shown);
    line(ex, mark, text);
}

/* Lines of a serialised head. */
static void request_lines(const struct aioduct_exchange *ex, struct ad_slice head)
{
    while (head.bytes > 0) {
        const char *end = memchr(head.p, '\n', head.bytes);
        size_t step = end == NULL ? head.bytes : (size_t)(end - head.p) + 1;
        struct ad_slice one = {head.p, step - (end != NULL)};
        one.bytes -= one.bytes > 0 && one.p[one.bytes - 1] == '\r';
        const char *colon = memchr(one.p, ':', one.bytes);
        if (colon != NULL) {
            struct ad_slice name = {one.p, (size_t)(colon - one.p)};
            field(ex, '>', name,
                  ad_slice_trim((struct ad_slice){colon + 1, one.bytes - name.bytes - 1}));
        }
        head.p += step;
        head.bytes -= step;
    }
}

void ad_trace_request_tell(const struct aioduct_exchange *ex)
{
    const struct aioduct_request *request = ex->request;
    struct ad_buf text = {0};
    char target[VALUE_BYTES], first[VALUE_BYTES + 300];
    if (ad_request_head_write(request, ex->engine->settings->agent, ad_exchange_expects(ex),
                              &text) < 0) {
        return;
    }
    ad_redact_url(target, sizeof target,
                  ad_slice_of(request->asterisk ? "*" : request->url.target));
    snprintf(first, sizeof first, "%.200s %s", request->method, target);
    line(ex, '>', first);
    struct ad_slice head = {(const char *)ad_buf_data(&text), ad_buf_bytes(&text)};
    const char *rest = memchr(head.p, '\n', head.bytes);
    if (rest != NULL) {
        request_lines(ex, (struct ad_slice){rest + 1, head.bytes - (size_t)(rest + 1 - head.p)});
    }
    ad_buf_fini(&text);
}

void ad_trace_response_tell(const struct aioduct_exchange *ex, const struct aioduct_head *head)
{
    char first[300];
    snprintf(first, sizeof first, "%d %.*s", head->status,
             head->reason_bytes > 200 ? 200 : (int)head->reason_bytes, head->reason);
    line(ex, '<', first);
    for (uint32_t i = 0; i < head->header_count; i++) {
        const struct aioduct_header *h = &head->headers[i];
        field(ex, '<', (struct ad_slice){h->name, h->name_bytes},
              (struct ad_slice){h->value, h->value_bytes});
    }
}

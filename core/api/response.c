/* SPDX-License-Identifier: MIT */
/* A response gathered in memory, on top of the callbacks. */
#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/slice.h"
#include "http/client.h"

#include <aioduct/exchange.h>
#include <errno.h>
#include <string.h>

struct aioduct_response {
    struct aioduct_head head;
    char *head_block; /* the fields' texts, each with a NUL after it */
    struct ad_buf body;
    struct aioduct_exchange_info info;
    char *info_block;

    uint64_t body_bytes_max;
    int failed; /* why on_head or on_body refused; 0: they did not */
};

/* ---- copying ---- */

static char *put(char **at, const char *bytes, size_t count)
{
    char *text = *at;
    if (count > 0) {
        memcpy(text, bytes, count);
    }
    text[count] = '\0';
    *at += count + 1;
    return text;
}

static int copy_head(struct aioduct_response *response, const struct aioduct_head *head)
{
    size_t fields = head->header_count * sizeof *head->headers;
    size_t bytes = fields + head->reason_bytes + 1 + head->raw_bytes + 1;
    for (uint32_t i = 0; i < head->header_count; i++) {
        bytes += head->headers[i].name_bytes + head->headers[i].value_bytes + 2;
    }
    char *block = ad_alloc(bytes);
    if (block == NULL) {
        return -ENOMEM;
    }
    char *at = block + fields;
    struct aioduct_header *headers = (struct aioduct_header *)(void *)block;
    for (uint32_t i = 0; i < head->header_count; i++) {
        const struct aioduct_header *from = &head->headers[i];
        headers[i] = *from;
        headers[i].name = put(&at, from->name, from->name_bytes);
        headers[i].value = put(&at, from->value, from->value_bytes);
    }
    response->head_block = block;
    response->head = *head;
    response->head.headers = headers;
    response->head.reason = put(&at, head->reason, head->reason_bytes);
    if (head->raw != NULL) {
        response->head.raw = put(&at, head->raw, head->raw_bytes);
    }
    return 0;
}

/* The exchange's strings go with it: keep our own. */
static void copy_info(struct aioduct_response *response, const struct aioduct_exchange *exchange)
{
    struct aioduct_exchange_info info = {.size = sizeof info};
    const char **texts[] = {&info.protocol, &info.tls_version, &info.tls_cipher, &info.peer_address,
                            &info.local_address};
    const size_t count = sizeof texts / sizeof texts[0];
    size_t bytes = 1;
    if (aioduct_exchange_info(exchange, &info) < 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        bytes += strlen(*texts[i]) + 1;
    }
    char *block = ad_alloc(bytes + info.request_head_bytes);
    if (block == NULL) {
        return;
    }
    char *at = block;
    for (size_t i = 0; i < count; i++) {
        *texts[i] = put(&at, *texts[i], strlen(*texts[i]));
    }
    if (info.request_head != NULL) {
        info.request_head = put(&at, info.request_head, info.request_head_bytes);
    }
    response->info_block = block;
    response->info = info;
}

/* ---- gathering ---- */

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    struct aioduct_response *response = user;
    (void)exchange;
    response->failed = copy_head(response, head);
    return response->failed;
}

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t count, void *user)
{
    struct aioduct_response *response = user;
    (void)exchange;
    if (count > response->body_bytes_max - ad_buf_bytes(&response->body)) {
        response->failed = AIODUCT_E_LIMIT;
    } else {
        response->failed = ad_buf_append(&response->body, bytes, count);
    }
    return response->failed;
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    (void)error;
    copy_info(user, exchange);
}

static const struct aioduct_callbacks gather = {
    .size = sizeof(struct aioduct_callbacks),
    .on_head = on_head,
    .on_body = on_body,
    .on_done = on_done,
};

/* The refusal was ours: say what it was. */
static int explain(const struct aioduct_response *response, struct aioduct_error *error)
{
    int code = response->failed;
    struct aioduct_error own;
    ad_error_set(&own, code, AIODUCT_PHASE_BODY,
                 code == AIODUCT_E_LIMIT
                     ? "collect_bytes_max: the response body is larger than %llu bytes"
                     : "out of memory after %llu bytes of the response body",
                 (unsigned long long)(code == AIODUCT_E_LIMIT ? response->body_bytes_max
                                                              : ad_buf_bytes(&response->body)));
    if (error != NULL) {
        own.partial = error->partial;
        *error = own;
    }
    return code;
}

/* A NUL after the body, for those who print it. */
static int end_body(struct aioduct_response *response)
{
    uint8_t *at = ad_buf_reserve(&response->body, 1);
    if (at == NULL) {
        return -ENOMEM;
    }
    *at = '\0';
    return 0;
}

static int fetch(struct aioduct_client *client, struct aioduct_request *request,
                 struct aioduct_response **out, struct aioduct_error *error)
{
    struct aioduct_response *response = ad_zalloc(sizeof *response);
    if (response == NULL) {
        return ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    response->body_bytes_max = client->settings.collect_bytes_max;
    response->info = (struct aioduct_exchange_info){.size = sizeof response->info,
                                                    .protocol = "",
                                                    .tls_version = "",
                                                    .tls_cipher = "",
                                                    .peer_address = "",
                                                    .local_address = ""};
    int code = ad_client_perform(client, request, &gather, response, error);
    if (code == AIODUCT_E_SINK && response->failed < 0) {
        code = explain(response, error);
    }
    if (response->head_block == NULL || end_body(response) < 0) {
        if (code == 0) {
            code = ad_error_set(error, -ENOMEM, AIODUCT_PHASE_BODY, "out of memory");
        }
        aioduct_response_destroy(response);
        return code;
    }
    *out = response;
    return code;
}

int aioduct_client_fetch(struct aioduct_client *client, struct aioduct_request *request,
                         struct aioduct_response **out, struct aioduct_error *error)
{
    if (request == NULL || out == NULL) {
        return ad_error_set(error, -EINVAL, AIODUCT_PHASE_SETUP,
                            "request and out must not be NULL");
    }
    *out = NULL;
    if (client != NULL) {
        return fetch(client, request, out, error);
    }
    struct aioduct_client *own;
    int code = ad_client_create(NULL, &own, error);
    if (code == 0) {
        code = fetch(own, request, out, error);
        ad_client_destroy(own);
    }
    return code;
}

int aioduct_get(struct aioduct_client *client, const char *url, struct aioduct_response **out,
                struct aioduct_error *error)
{
    struct aioduct_request *request;
    if (out == NULL) {
        return ad_error_set(error, -EINVAL, AIODUCT_PHASE_SETUP, "out must not be NULL");
    }
    *out = NULL;
    int code = aioduct_request_create("GET", url, &request, error);
    if (code == 0) {
        code = aioduct_client_fetch(client, request, out, error);
        aioduct_request_destroy(request);
    }
    return code;
}

/* ---- reading it ---- */

int aioduct_response_status(const struct aioduct_response *response)
{
    return response == NULL ? 0 : response->head.status;
}

const char *aioduct_response_header(const struct aioduct_response *response, const char *name)
{
    /* The texts of this head end with NUL. */
    return response == NULL ? NULL : aioduct_head_find(&response->head, name, NULL);
}

const struct aioduct_head *aioduct_response_head(const struct aioduct_response *response)
{
    return response == NULL ? NULL : &response->head;
}

const void *aioduct_response_body(const struct aioduct_response *response, size_t *out_count)
{
    if (out_count != NULL) {
        *out_count = response == NULL ? 0 : ad_buf_bytes(&response->body);
    }
    return response == NULL ? NULL : ad_buf_data(&response->body);
}

const struct aioduct_exchange_info *aioduct_response_info(const struct aioduct_response *response)
{
    return response == NULL ? NULL : &response->info;
}

void aioduct_response_destroy(struct aioduct_response *response)
{
    if (response == NULL) {
        return;
    }
    ad_free(response->head_block);
    ad_free(response->info_block);
    ad_buf_fini(&response->body);
    ad_free(response);
}

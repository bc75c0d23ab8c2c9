/* SPDX-License-Identifier: MIT */
/*
 * May sessions of this nghttp2 share the block in which they make frames? Its interface does not
 * say so, and a distribution may have changed what a version did. So it is tried, once in a
 * process, before any connection shares: two sessions on one block take turns, a frame each, and
 * what they leave in it is overwritten between any two calls. Every frame must begin in the block
 * or in memory of the session's own, the first one in the block, and both must say, byte for byte,
 * what a session says that shares nothing.
 */
#include "proto/h2_private.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <string.h>

#define BODY_BYTES 40000u  /* three DATA frames */
#define VALUE_BYTES 60000u /* a head with CONTINUATION, also when it is compressed */

struct probe {
    nghttp2_session *session;
    struct ad_buf said;
    size_t body_left;
    bool begins_in_block; /* the first frame did */
    bool failed, no_memory;
};

static ad_ng_ssize on_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                           uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct probe *probe = user;
    size_t count = room < probe->body_left ? room : probe->body_left;
    (void)session;
    (void)id;
    (void)source;
    memset(to, 'b', count);
    probe->body_left -= count;
    *flags |= probe->body_left == 0 ? NGHTTP2_DATA_FLAG_EOF : 0;
    return (ad_ng_ssize)count;
}

static nghttp2_nv field(const char *name, const char *value, size_t value_bytes)
{
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name,
        .namelen = strlen(name),
        .value = (uint8_t *)(uintptr_t)value,
        .valuelen = value_bytes,
    };
}

static int ask(struct probe *probe, const char *value, size_t value_bytes, bool with_body)
{
    const nghttp2_nv fields[] = {
        field(":method", "POST", 4), field(":scheme", "http", 4),    field(":authority", "a", 1),
        field(":path", "/", 1),      field("x", value, value_bytes),
    };
    const ad_ng_data_provider body = {.read_callback = on_read};
    probe->body_left = BODY_BYTES;
    return (int)ad_ng_submit_request(probe->session, NULL, fields, 5, with_body ? &body : NULL,
                                     NULL);
}

static int ask_at_length(struct probe *probe)
{
    char *value = ad_alloc(VALUE_BYTES);
    if (value == NULL) {
        probe->no_memory = true;
        return NGHTTP2_ERR_NOMEM;
    }
    memset(value, '~', VALUE_BYTES); /* 13 bits in Huffman's code: it goes as it is */
    int code = ask(probe, value, VALUE_BYTES, false);
    ad_free(value);
    return code;
}

/* What a connection of ours has to say, in steps. false: there are no more. */
static bool step(struct probe *probe, unsigned number)
{
    static const uint8_t peers[] = {
        0, 0, 0, NGHTTP2_SETTINGS, 0, 0, 0, 0, 0, /* empty */
        0, 0, 8, NGHTTP2_PING,     0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
    };
    static const nghttp2_settings_entry setting = {NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
    static const uint8_t eight[8] = "12345678";
    nghttp2_session *session = probe->session;
    int code = 0;
    switch (number) {
    case 0:
        code = nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, &setting, 1);
        break;
    case 1:
        code = ad_ng_mem_recv(session, peers, sizeof peers) == (ad_ng_ssize)sizeof peers ? 0 : -1;
        break;
    case 2:
        code = ask(probe, "short", 5, true);
        break;
    case 3:
        code = nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, eight);
        break;
    case 4:
        code = ask_at_length(probe);
        break;
    case 5:
        code = nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, 1, NGHTTP2_CANCEL);
        break;
    case 6:
        code = nghttp2_submit_window_update(session, NGHTTP2_FLAG_NONE, 0, 1000);
        break;
    case 7:
        code = nghttp2_session_terminate_session(session, NGHTTP2_NO_ERROR);
        break;
    default:
        return false;
    }
    probe->failed = probe->failed || code < 0;
    return true;
}

/* One frame, or a part of one. false: there is none now. @spoil: as if another session had had the
 * block before it was taken, for the test of this test. */
static bool say(struct probe *probe, uint8_t *block, bool spoil)
{
    const uint8_t *bytes;
    ad_ng_ssize count = ad_ng_mem_send(probe->session, &bytes);
    if (count <= 0) {
        probe->failed = probe->failed || count < 0;
        return false;
    }
    if (ad_buf_bytes(&probe->said) == 0) {
        probe->begins_in_block = bytes >= block && bytes < block + AD_H2_FRAME_BLOCK_BYTES;
    }
    if (spoil) {
        memset(block, 0, AD_H2_FRAME_BLOCK_BYTES);
    }
    probe->no_memory = probe->no_memory || ad_buf_append(&probe->said, bytes, (size_t)count) < 0;
    probe->failed = probe->failed || probe->no_memory;
    return !probe->failed;
}

static void run(struct probe *probes, size_t count, uint8_t *block, bool spoil)
{
    for (unsigned number = 0; step(&probes[0], number); number++) {
        bool more = true;
        for (size_t i = 1; i < count; i++) {
            step(&probes[i], number);
        }
        while (more) {
            more = false;
            for (size_t i = 0; i < count; i++) {
                bool said = say(&probes[i], block, spoil);
                more = more || said;
                memset(block, 0xa5 + (int)i, AD_H2_FRAME_BLOCK_BYTES);
            }
        }
    }
}

static bool is_same(const struct probe *a, const struct probe *b)
{
    return !a->failed && !b->failed && ad_buf_bytes(&a->said) > BODY_BYTES + VALUE_BYTES &&
           ad_buf_bytes(&a->said) == ad_buf_bytes(&b->said) &&
           memcmp(ad_buf_data(&a->said), ad_buf_data(&b->said), ad_buf_bytes(&a->said)) == 0;
}

static int begin(struct probe *probe, struct ad_h2_scratch *scratch, bool share)
{
    uint8_t *block = ad_h2_scratch_block(scratch);
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int code = nghttp2_session_callbacks_new(&callbacks);
    code = code != 0 ? code : nghttp2_option_new(&option);
    if (code == 0) {
        nghttp2_option_set_max_send_header_block_length(option, 2 * VALUE_BYTES);
        code = ad_h2_scratch_new(scratch, share, &probe->session, callbacks, probe, option);
    }
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    if (code == 0) {
        (void)say(probe, block, false); /* the preface, which is there from the beginning */
    }
    return code;
}

enum ad_h2_proof ad_h2_prove(struct ad_h2_scratch *scratch, bool spoil)
{
    struct probe probes[3] = {0}; /* two that share, and one that does not */
    uint8_t *block = ad_h2_scratch_block(scratch);
    enum ad_h2_proof proof = AD_H2_UNPROVED;
    if (begin(&probes[0], scratch, true) == 0 && begin(&probes[1], scratch, true) == 0 &&
        begin(&probes[2], scratch, false) == 0) {
        run(probes, 2, block, spoil);
        run(probes + 2, 1, block, false);
        bool shares = probes[0].begins_in_block && probes[1].begins_in_block &&
                      is_same(&probes[0], &probes[2]) && is_same(&probes[1], &probes[2]);
        bool no_memory = ad_h2_scratch_lacked(scratch) || probes[0].no_memory ||
                         probes[1].no_memory || probes[2].no_memory;
        proof = no_memory ? AD_H2_UNPROVED : shares ? AD_H2_SAFE : AD_H2_UNSAFE;
    }
    for (size_t i = 0; i < 3; i++) {
        nghttp2_session_del(probes[i].session);
        ad_buf_fini(&probes[i].said);
    }
    return proof;
}

bool ad_h2_may_share(struct ad_h2_scratch *scratch)
{
    static _Atomic int known = AD_H2_UNPROVED;
    int proof = atomic_load_explicit(&known, memory_order_relaxed);
    if (proof == AD_H2_UNPROVED) {
        proof = (int)ad_h2_prove(scratch, false);
        atomic_store_explicit(&known, proof, memory_order_relaxed);
    }
    return proof == AD_H2_SAFE;
}

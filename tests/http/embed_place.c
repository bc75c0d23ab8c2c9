/* SPDX-License-Identifier: MIT */
#include "embed_place.h"

#include <string.h>

const struct app *const app = &APP;

void place_fill(char *bytes, size_t count, uint64_t at)
{
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (char)((at + i) * 7 >> 3);
    }
}

static void send_large(struct peer_conn *conn)
{
    char piece[65536];
    peer_format(conn, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", LARGE_BYTES);
    for (uint64_t at = 0; at < LARGE_BYTES; at += sizeof piece) {
        place_fill(piece, sizeof piece, at);
        if (!peer_send_bytes(conn, piece, sizeof piece)) {
            return;
        }
    }
}

static void play(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        const char *head = peer_last_request(conn)->head;
        if (strncmp(head, "GET /hang ", 10) == 0) {
            peer_hang(conn);
        }
        if (strncmp(head, "GET /gate ", 10) == 0) {
            peer_wait_gate(conn, GO);
        }
        if (strncmp(head, "GET /large ", 11) == 0) {
            send_large(conn);
            continue;
        }
        peer_answer(conn, 200, "", "answer");
    }
}

void place_assert_fine(const struct result *r)
{
    assert_answer(r, 200);
    assert_string_equal(r->body, "answer");
    assert_string_equal(r->order, "HBD");
}

/* ---- the application ---- */

static void use_loop(struct place *place)
{
    struct tester *t = place->t;
    t->options.loop = app->foreign(place->loop);
    tester_client(t);
    app->know(place->loop, &t->client);
    app->know(place->loop, &place->other);
}

struct place *place_new(struct tester *t)
{
    struct place *place = tester_alloc(t, sizeof *place);
    place->t = t;
    place->loop = app->create();
    assert_non_null(place->loop);
    use_loop(place);
    tester_peer(t, play, NULL);
    return place;
}

/* The loop was the application's before, and is again. */
void place_end(struct place *place)
{
    tester_destroy(place->t);
    aioduct_client_destroy(place->other);
    place->other = NULL;
    assert_true(app->is_empty(place->loop));
    app->destroy(place->loop);
}

void place_count_down(struct place *place)
{
    if (--place->left == 0) {
        app->stop(place->loop);
    }
}

void place_on_count(struct result *r, struct aioduct_exchange *exchange, char event)
{
    (void)exchange;
    if (event == 'D') {
        place_count_down(r->user);
    }
}

struct result *place_ask(struct place *place, const char *path)
{
    struct result *r = tester_result(place->t);
    r->on_event = place_on_count;
    r->user = place;
    place->left++;
    tester_submit_into(place->t, tester_request(place->t, "GET", peer_url(place->t->peer, path)),
                       r);
    return r;
}

void place_stop(void *arg)
{
    struct place *place = arg;
    app->stop(place->loop);
}

void place_run_for(struct place *place, unsigned ms)
{
    app->later(place->loop, ms, place_stop, place);
    app->run(place->loop);
}

void place_open_gate(void *arg)
{
    struct place *place = arg;
    peer_open(place->t->peer, GO);
}

/* Not before the application's ticks have come, however late all of them are. */
void place_open_gate_after_ticks(void *arg)
{
    struct place *place = arg;
    if (place->ticks < TICKS) {
        app->later(place->loop, 10, place_open_gate_after_ticks, place);
    } else {
        place_open_gate(place);
    }
}

static void on_stop_after_ticks(void *arg)
{
    struct place *place = arg;
    if (place->ticks < TICKS) {
        app->later(place->loop, 10, on_stop_after_ticks, place);
    } else {
        app->stop(place->loop);
    }
}

void place_run_for_ticks(struct place *place)
{
    app->later(place->loop, 1, on_stop_after_ticks, place);
    app->run(place->loop);
}

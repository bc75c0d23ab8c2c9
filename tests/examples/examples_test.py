#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every example runs, on the runtime that AIODUCT_RUNTIME names.   examples_test.py AIODUCT EXAMPLE..."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from harness import Peer, Skip, answers, case, equal, main, matches  # noqa: E402

PROGRAMS = {os.path.basename(p): p for p in sys.argv[2:]}


def run(w, name, *args):
    w.aioduct = PROGRAMS[name]
    return w.ok(*args).decode()


@case
def get_prints_the_page(w):
    equal(run(w, "get", w.nginx.url("/hello.txt")), "hello, world\n")


@case
def download_writes_the_file(w):
    run(w, "download", w.nginx.url("/hello.txt"), w.path("d"))
    with open(w.path("d"), "rb") as f:
        equal(f.read(), b"hello, world\n")
    w.aioduct = PROGRAMS["download"]
    w.fails(1, w.nginx.url("/status/404"), w.path("d"))


@case
def store_puts_it_into_a_file_or_memory(w):
    run(w, "store", w.nginx.url("/hello.txt"), w.path("s"))
    with open(w.path("s"), "rb") as f:
        equal(f.read(), b"hello, world\n")
    equal(run(w, "store", w.nginx.url("/hello.txt")), "hello, world\n")
    w.fails(1, w.nginx.url("/status/404"))


@case
def many_answers_all_of_them(w):
    matches(run(w, "many", w.nginx.url("/hello.txt"), "200"), "^200 answered, 0 failed, 2600 bytes")
    for count in ("", "x", "3x", "0", "-1", "99999999999999999999"):
        matches(w.fails(2, w.nginx.url("/hello.txt"), count)[1], "^usage: many URL COUNT")


@case
def metrics_are_in_the_text_format_of_prometheus(w):
    out = run(w, "metrics", w.nginx.url("/hello.txt"), "3")
    samples = {}
    for line in out.splitlines():
        if line.startswith("#"):
            matches(line, r"^# (TYPE aioduct_\w+ (counter|gauge|histogram)|HELP aioduct_\w+ .+)$")
            continue
        name, value = line.rsplit(" ", 1)
        matches(name, r'^aioduct_\w+(\{\w+="[^"]+"\})?$')
        samples[name] = float(value)
    for name, value in (('aioduct_exchanges_total{result="done"}', 3), ("aioduct_dials_total", 1),
                        ('aioduct_pool_lookups_total{result="hit"}', 2), ('aioduct_connections{state="idle"}', 1),
                        ("aioduct_exchange_seconds_count", 3), ('aioduct_exchange_seconds_bucket{le="+Inf"}', 3),
                        ('aioduct_exchanges_total{result="failed"}', 0)):
        equal(samples[name], value, name)
    assert samples['aioduct_bytes_total{direction="in"}'] > 3 * 13, samples
    w.aioduct = PROGRAMS["metrics"]
    out = w.ok("http://127.0.0.1:1/").decode()
    matches(out, r'(?m)^aioduct_exchanges_total\{result="failed"\} 1$')
    matches(out, r'(?m)^aioduct_closed_total\{reason="opening"\} 1$')


@case
def own_loop_is_told_when_there_is_work(w):
    equal(run(w, "own_loop", w.nginx.url("/hello.txt")), "done, 13 bytes of body\n")


def after_a_while(connection, _request):
    time.sleep(0.05)  # a timer of a millisecond is due by then
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\nlate, hello!\n")


def inside(w, name, runtimes):
    """Several URLs while the program's own timer ticks; the loop library may be missing."""
    if name not in PROGRAMS:
        raise Skip("%s was not built" % name)
    if os.environ.get("AIODUCT_RUNTIME") not in runtimes:
        raise Skip("runs on %s" % ", ".join(runtimes))
    url = w.nginx.url("/hello.txt")
    with Peer(after_a_while) as peer:
        matches(run(w, name, url, peer.url(), url),
                "^(13 bytes of body\n){3}0 failed, [1-9][0-9]* ticks meanwhile\n$")


EVERY = ("epoll", "libevent", "libev", "uring")


@case
def in_libevent_lives_in_an_event_base(w):
    inside(w, "in_libevent", EVERY) # the loop decides, whatever the operator says


@case
def in_libev_lives_in_an_ev_loop(w):
    inside(w, "in_libev", EVERY)


@case
def in_uring_lives_in_a_ring(w):
    inside(w, "in_uring", ("uring",)) # elsewhere there may be no rings


@case
def in_glib_is_a_source(w):
    inside(w, "in_glib", EVERY)


@case
def in_libuv_is_a_poll_handle(w):
    inside(w, "in_libuv", EVERY)


@case
def threads_share_a_client(w):
    equal(run(w, "threads", w.nginx.url("/hello.txt")), "200 answered, 0 failed\n")


def echoes_in_capitals(connection, request):
    assert b"\r\nUpgrade: shout\r\n" in request, request
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\nConnection: Upgrade\r\n\r\nYOU SAID ")
    while True:
        said = connection.recv(100)
        if not said:
            break
        connection.sendall(said.upper())


@case
def upgrade_says_a_message_and_hears_the_answer(w):
    with Peer(echoes_in_capitals) as peer:
        equal(run(w, "upgrade", peer.url("/chat"), "shout", "hello"), "YOU SAID HELLO\n")
    with Peer(answers(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")) as peer:
        matches(w.fails(1, peer.url("/"), "shout", "hello")[1], "the server answered 400")
    matches(w.fails(1, "http://localhost:1/", "h2c", "hello")[1], "no such protocol: h2c")
    w.fails(2, "http://localhost:1/")


@case
def upload_sends_chunks(w):
    with Peer(answers(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")) as peer:
        equal(run(w, "upload", peer.url("/u")), "status 201\n")
        matches(peer.requests[0].decode(), r"^PUT /u .*chunked.*line 0\n.*line 999\n.*0\r\n\r\n$")


sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every example runs, on the runtime that AIODUCT_RUNTIME names.   examples_test.py AIODUCT EXAMPLE..."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from harness import Peer, answers, case, equal, main, matches  # noqa: E402

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
def many_answers_all_of_them(w):
    matches(run(w, "many", w.nginx.url("/hello.txt"), "200"), "^200 answered, 0 failed, 2600 bytes")


@case
def own_loop_is_told_when_there_is_work(w):
    equal(run(w, "own_loop", w.nginx.url("/hello.txt")), "done, 13 bytes of body\n")


@case
def threads_share_a_client(w):
    equal(run(w, "threads", w.nginx.url("/hello.txt")), "200 answered, 0 failed\n")


@case
def upload_sends_chunks(w):
    with Peer(answers(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")) as peer:
        equal(run(w, "upload", peer.url("/u")), "status 201\n")
        matches(peer.requests[0].decode(), r"^PUT /u .*chunked.*line 0\n.*line 999\n.*0\r\n\r\n$")


sys.exit(main())

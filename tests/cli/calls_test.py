#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""AIODUCT_DEBUG=calls: what goes over the wall between core and plugin is shown, and is what docs/CONTRACT.md allows."""
import os
import re
import sys
import tempfile

from harness import ClosedPort, Peer, answers, case, equal, main, matches

RUNTIME = os.environ["AIODUCT_RUNTIME"]
LINE = re.compile(r"calls: (\w+)#(\d+) ([<>]) ([\w.]+)\((.*?)\)(?: -> (.*))?$")
BY_PLUGIN = ("task_run", "timer_fired", "turn_end", "on_data", "on_done", "on_closed")
NESTING = ("block_on", "turn")


def parse(text):
    """[(instance, direction, name, arguments, result)], of one runtime."""
    calls = []
    for line in text.splitlines():
        if "calls: " in line:
            m = LINE.search(line)
            assert m, line
            equal(m.group(1), RUNTIME)
            calls.append((m.group(2), m.group(3), m.group(4), m.group(5).split(", "), m.group(6)))
    return calls


class Stream:
    """What is in flight on it, and how far it has come."""

    def __init__(self):
        self.inflight, self.connected, self.closing, self.closed = set(), False, False, False


class Checker:
    """One instance, by the clauses that are named."""

    def __init__(self):
        self.order, self.streams, self.depth, self.last, self.runnable = [], {}, 0, None, {}

    def stream(self, args):
        m = re.match(r"stream (\d+)$", args[0])
        assert m and m.group(1) != "0", args
        return self.streams.setdefault(m.group(1), Stream())

    def feed(self, direction, name, args, result):
        if direction == ">" and name in NESTING:
            self.depth += 1 if result is None else -1  # begins, and has its result
            if result == "0":
                equal(self.last, "turn_end", "RT-16")
        elif name == "task_run" and result is not None:
            pass  # has its result
        elif name in BY_PLUGIN:
            assert direction == "<" and self.depth > 0, (name, "RT-4")
            self.last = name
        handler = getattr(self, "do_" + name.replace(".", "_"), None)
        if handler:
            handler(args, result)
        self.order.append(name if name != "on_done" else f"on_done {args[1]} {args[2]}")

    def do_open(self, _args, _result):
        assert not {"open", "connector.open", "connect"} & set(self.order)

    def do_connector_open(self, _args, _result):
        assert "open" in self.order, "CX-1"

    def do_connect(self, args, result):
        s = self.stream(args)
        assert "connector.open" in self.order and not s.connected, "CX-2"
        if result == "pending":
            s.inflight.add("connect")

    def do_recv_start(self, args, result):
        s = self.stream(args)
        assert s.connected or result == "ENOTCONN", "ST-21"
        if result == "0":
            assert "recv" not in s.inflight, "ST-1"
            s.inflight.add("recv")

    def do_send(self, args, result):
        s = self.stream(args)
        assert s.connected and not s.closing, "ST-21"
        if result == "pending":
            s.inflight.add("send")

    def do_send_file(self, args, result):
        assert result != "done", "ST-28"
        self.do_send(args, result)

    def do_recv_at(self, args, _result):
        s = self.stream(args)
        assert "recv" in s.inflight and not s.closing, "ST-30"

    def do_shutdown(self, args, result):
        if result == "pending":
            self.stream(args).inflight.add("shutdown")

    def do_on_data(self, args, _result):
        s = self.stream(args)
        assert "recv" in s.inflight and not s.closing, "ST-3, ST-17"
        assert int(args[1].split()[0]) > 0

    def do_on_done(self, args, _result):
        s = self.stream(args)
        assert args[1] in s.inflight, f"ST-2: {args} answers nothing"
        s.inflight.remove(args[1])
        if args[1] == "connect":
            s.connected = args[2] == "0"

    def do_stream_close(self, args, _result):
        s = self.stream(args)
        assert not s.closing, "ST-16"
        s.closing = True

    def do_on_closed(self, args, _result):
        s = self.stream(args)
        assert s.closing and not s.closed and not s.inflight, "ST-16"
        s.closed = True

    def do_connector_close(self, _args, _result):
        for number, s in self.streams.items():
            assert s.closed or not (s.connected or s.closing), f"CX-1: stream {number}"

    def do_close(self, _args, _result):
        assert "connector.close" in self.order, "CX-1"

    def wake(self, args, result=None):
        if result in (None, "0"):
            self.runnable[args[0]] = True

    do_wake = do_spawn_send = do_spawn_local = wake

    def do_block_on(self, args, result):
        if result is None:
            self.runnable[args[0]] = True

    def do_task_run(self, args, result):
        if result is None:
            assert self.runnable.get(args[0]), "RT-8"
            self.runnable[args[0]] = False


def check(calls):
    """-> the checker of each instance"""
    checkers = {}
    for instance, *call in calls:
        checkers.setdefault(instance, Checker()).feed(*call)
    for checker in checkers.values():
        equal(checker.order[-1], "close", "the last call")
        equal(checker.depth, 0)
        for number, s in checker.streams.items():
            equal(s.inflight, set(), f"ST-2: stream {number} at the end")
    return checkers


def traced(w, *args, env=None):
    return w.run(*args, env={"AIODUCT_DEBUG": "calls", **(env or {})})


@case
def one_get_is_all_there_and_in_order(w):
    code, out, err = traced(w, "-H", "X-Token: 7e5ec4e7", w.nginx.url("/hello.txt"))
    equal(code, 0)
    checkers = check(parse(err))
    equal(len(checkers), 1)
    order = checkers["1"].order
    steps = ["open", "connector.open", "connect", "on_done connect 0", "recv_start", "send", "on_data",
             "stream_close", "on_closed", "connector.close", "close"]
    places = [order.index(step) for step in steps]
    equal(places, sorted(places), f"{order}")
    assert "on_done recv 0" in order or "on_done recv ECANCELED" in order, order
    # Counts, and never what is counted.
    assert out.strip() and out.decode().strip() not in err, err
    assert "7e5ec4e7" not in err, err
    matches(err, rf"on_data\(stream 1, \d+ bytes\)")


@case
def many_gets_over_tls_and_without_keep_the_contract(w):
    urls = [w.nginx.url("/hello.txt")] * 5 + [w.nginx.url("/hello.txt", "tls")] * 2
    code, _, err = traced(w, "--cacert", w.ca, *urls)
    equal(code, 0, err)
    check(parse(err))


@case
def an_upload_that_waits_for_its_peer_counts_every_byte(w):
    size = 6 << 20  # more than the sockets hold

    file = w.path("upload")
    with open(file, "wb") as f:
        f.write(b"0123456789abcdef" * (size // 16))
    with Peer(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as peer:
        code, _, err = traced(w, "-T", file, "-H", "Expect:", peer.url())
    equal(code, 0, err)
    check(parse(err))
    sent = sum(int(n) for n in re.findall(r"> send\(stream \d+, \d+ pieces, (\d+) bytes\) -> done"
                                          r"|< on_done\(stream \d+, send, 0, (\d+) bytes\)", err) for n in n if n)
    assert size < sent < size + 1000, sent
    assert "0123456789abcdef" not in err


@case
def a_file_is_read_where_its_bytes_are_looked_at_and_else_handed_on_as_it_is(w):
    file = w.path("whole")
    with open(file, "wb") as f:
        f.write(b"0123456789abcdef" * (1 << 14))
    with Peer(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")) as peer:
        for options in [], ["-#", "-Y", "1", "-y", "9"], ["--limit-rate", "1G"], ["-v"], ["--trace-ascii", "/dev/null"]:
            code, _, err = traced(w, *options, "-T", file, peer.url())
            equal(code, 0, err)
            given = "> send_file(stream " in err  # what is left when the head has gone with a first block
            equal(given, options[:1] in ([], ["-#"]), options)


@case
def a_connect_that_fails_is_answered_too(w):
    with ClosedPort() as port:
        code, _, err = traced(w, f"http://127.0.0.1:{port}/")
    equal(code, 7)
    order = check(parse(err))["1"].order
    assert "on_done connect ECONNREFUSED" in order and "recv_start" not in order, order


@case
def the_lines_go_where_the_log_goes(w):
    _, _, err = w.run(w.nginx.url("/hello.txt"))
    assert "calls:" not in err, err
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log")
        _, _, err = traced(w, w.nginx.url("/hello.txt"), env={"AIODUCT_LOG": "error:" + path})
        equal(err, "")
        with open(path, encoding="utf-8") as f:
            check(parse(f.read()))


@case
def a_topic_that_there_is_not_is_an_error(w):
    _, err = w.fails(2, w.nginx.url("/hello.txt"), env={"AIODUCT_DEBUG": "plugins, call"})
    matches(err, r"AIODUCT_DEBUG: no topic 'call'\n.*hint: plugins, calls")


sys.exit(main())

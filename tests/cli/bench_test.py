#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""aioduct bench, on the runtime that AIODUCT_RUNTIME names."""
import contextlib
import json
import os
import pty
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree

from harness import ClosedPort, Skip, case, equal, main, matches

RUNTIME = os.environ["AIODUCT_RUNTIME"]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
ERRORS = ("resolve refused connect tls timeout closed reset truncated protocol stream other http_4xx http_5xx").split()


def once(function):
    """A case that no runtime has a part in: on one of them."""
    return case(function) if RUNTIME == "epoll" else function


class Server:
    """Keeps connections; @answer(number of the request, head, body) gives bytes, and None ends the connection.
    What came is noted before it is answered: when (monotonic), head and body."""

    def __init__(self, answer=lambda number, head, body: OK, path=None):
        self.answer, self.seen, self.connections = answer, [], 0
        self.lock = threading.Condition()
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen(64)
        else:
            self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
            self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        data = b""
        with connection:
            try:
                while True:
                    while b"\r\n\r\n" not in data:
                        more = connection.recv(65536)
                        if not more:
                            return
                        data += more
                    head, _, data = data.partition(b"\r\n\r\n")
                    length = re.search(rb"(?i)content-length: *(\d+)", head)
                    length = int(length.group(1)) if length else 0
                    while len(data) < length:
                        data += connection.recv(65536)
                    body, data = data[:length], data[length:]
                    with self.lock:
                        number = len(self.seen)
                        self.seen.append((time.monotonic(), head.decode("latin-1"), body))
                        self.lock.notify_all()
                    reply = self.answer(number, head, body)
                    if reply is None:
                        return
                    connection.sendall(reply)
                    if b"\r\nConnection: close" in reply:
                        return
            except OSError:
                pass

    def wait_for(self, count):
        with self.lock:
            if not self.lock.wait_for(lambda: len(self.seen) >= count, 60):
                raise AssertionError(f"{len(self.seen)} requests came, not {count}")

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # ends accept
        self.thread.join(10)
        self.listener.close()


class Silent(Server):
    """Answers nothing until it is left."""

    def __init__(self):
        self.gate = threading.Event()
        super().__init__(lambda *_: self.gate.wait(60) and None)

    def __exit__(self, *args):
        self.gate.set()
        super().__exit__(*args)


def bench(w, *args, code=0, **kwargs):
    """-> the object for the runtime, and the whole"""
    got, out, err = w.run("bench", "--json", *args, **kwargs)
    equal(got, code, f"exit code of {args}, which said {err!r}")
    whole = json.loads(out)
    for one in whole["runtimes"]:
        equal(one["failed"] + one["errors"]["http_4xx"] + one["errors"]["http_5xx"], one["errors"]["total"], "errors")
        equal(sum(one["errors"][k] for k in ERRORS), one["errors"]["total"], "errors by kind")
        equal(sum(one["status"].values()), one["answers"], "answers by status")
        equal(one["started"], one["answers"] + one["failed"] + one["not_answered"], "what became of each")
        order = [one["latency_ns"][k] for k in ("min", "p50", "p90", "p99", "p99_9", "max")]
        equal(order, sorted(order), "percentiles")
    return whole["runtimes"][0], whole


@contextlib.contextmanager
def under_way(w, *args):
    """The command while it runs; in a session of its own, so that a signal to its group is as a terminal sends it."""
    with subprocess.Popen([w.aioduct, "bench", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()  # nothing, if it has ended


def child_of(process):
    try:
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as f:
            return int(f.read().split()[0])
    except OSError as error:
        raise Skip(f"this kernel does not tell children: {error}") from error


# ---- what is counted ----


@case
def n_requests_are_n_at_the_server(w):
    for count, connections in (137, 7), (1, 10), (20, 20):
        with Server() as server:
            one, _ = bench(w, "-n", str(count), "-c", str(connections), server.url("/x?y=1"))
            equal(len(server.seen), count)
            equal((one["started"], one["answers"], one["status"]), (count, count, {"200": count}))
            equal(one["bytes"]["body"], 5 * count)
            equal(one["bytes"]["received"], len(OK) * count)
            equal(one["connections"]["failed"], 0)
            assert 1 <= one["connections"]["opened"] <= min(connections, count), one["connections"]
            equal(one["protocol"], "http/1.1")
            equal(one["runtime"], RUNTIME)
            assert all(head.startswith("GET /x?y=1 HTTP/1.1\r\n") for _, head, _ in server.seen)


@once
def the_object_has_every_member(w):
    with Server() as server:
        one, whole = bench(w, "-n", "3", server.url())
    equal(set(whole), {"aioduct", "url", "interrupted", "settings", "runtimes", "ratios"})
    equal(set(whole["settings"]), {"connections", "streams", "requests", "duration_s", "warm_up_s", "rate", "rounds",
                                   "latency_from"})
    equal(set(one), {"runtime", "protocol", "tls", "seconds", "requests_per_second", "started", "answers", "failed",
                     "not_answered", "not_started", "errors", "status", "bytes", "latency_ns", "cpu", "connections",
                     "rounds"})
    equal([set(r) for r in one["rounds"]],
          [{"requests_per_second", "latency_mean", "latency_p50", "latency_p99", "cpu_per_answer"}])
    equal(set(one["errors"]), set(ERRORS) | {"total"})
    equal(set(one["bytes"]), {"received", "body", "sent"})
    equal(set(one["latency_ns"]), {"min", "mean", "stdev", "p50", "p90", "p99", "p99_9", "max"})
    equal(set(one["cpu"]), {"user_s", "system_s", "us_per_answer"})
    equal(whole["settings"]["latency_from"], "start")
    equal(whole["settings"]["duration_s"], 0)
    assert one["seconds"] > 0 and one["requests_per_second"] > 0
    assert abs(one["requests_per_second"] * one["seconds"] - 3) < 0.01
    assert one["latency_ns"]["min"] > 0


@case
def the_table_says_the_same(w):
    with Server(lambda number, *_: OK if number % 2 else OK.replace(b"200 OK", b"503 No")) as server:
        out = w.ok("bench", "-n", "10", "-c", "1", server.url()).decode()
    for row in (rf"runtime +{RUNTIME}\n", r"answers +10\n", r"errors +5\n", r"http_5xx +5\n", r"status 200 +5\n",
                r"status 503 +5\n", r"requests/s +[\d.]+\n", r"  p99\.9 +[\d.]+ [mun]?s\n", r"CPU an answer +[\d.]+ us\n",
                r"connections +1\n", r"latency, from when each was started\n"):
        matches(out, row)


@case
def streams_share_connections_over_http2(w):
    log = w.path("access.log")
    path = f"/hello.txt?{RUNTIME}"
    one, _ = bench(w, "-n", "300", "-c", "2", "-m", "8", "--http2-prior-knowledge", w.nginx.url(path, "h2c"))
    equal((one["answers"], one["protocol"]), (300, "h2"))
    assert 1 <= one["connections"]["opened"] <= 2, one["connections"]
    one, _ = bench(w, "-n", "50", "-m", "5", "--cacert", w.ca, w.nginx.url(path, "h2"))
    equal((one["answers"], one["protocol"], one["tls"]), (50, "h2", "TLS1.3"))
    deadline = time.monotonic() + 30  # nginx writes a line after the answer
    while True:
        with open(log, encoding="utf-8") as f:
            lines = sum(f"GET {path} HTTP/2.0\" 200" in line for line in f)
        if lines >= 350 or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    equal(lines, 350)


@case
def certificates_are_verified_unless_k(w):
    url = w.nginx.url("/hello.txt", "tls")
    one, _ = bench(w, "-n", "20", "--cacert", w.ca, url)
    equal((one["answers"], one["protocol"]), (20, "http/1.1"))
    one, _ = bench(w, "-n", "4", "-c", "2", url, code=60)
    equal((one["answers"], one["errors"]["tls"]), (0, 4))
    one, _ = bench(w, "-n", "4", "-k", url)
    equal(one["answers"], 4)


@case
def request_options_are_those_of_a_transfer(w):
    with Server() as server:
        bench(w, "-n", "6", "-c", "2", "-X", "PUT", "-H", "X-One: 1", "-A", "me", "-d", "a=b", "-u", "user:word",
              server.url())
        for _, head, body in server.seen:
            matches(head, r"^PUT / HTTP/1\.1\r\n")
            for line in ("X-One: 1", "User-Agent: me", "Authorization: Basic dXNlcjp3b3Jk", "Content-Length: 3"):
                assert line in head, head
            equal(body, b"a=b")
    with Server() as server:
        bench(w, "-n", "2", "-d", "x", server.url())
        assert all(head.startswith("POST ") for _, head, _ in server.seen)
        _, err = w.fails(2, "bench", "-H", "no header", server.url())
        matches(err, "header refused: 'no header'")
        equal(len(server.seen), 2)


@case
def a_unix_domain_socket_is_this_machine(w):
    path = w.path("bench.sock")
    with Server(path=path) as server:
        one, _ = bench(w, "-n", "9", "--unix-socket", path, "http://example.org/")
        equal((one["answers"], len(server.seen)), (9, 9))
    os.unlink(path)


# ---- what goes wrong is counted by kind ----


@case
def refused_connections_are_counted_and_the_exit_code_is_curls(w):
    with ClosedPort() as port:
        one, _ = bench(w, "-n", "20", f"http://127.0.0.1:{port}/", code=7)
        equal((one["errors"]["refused"], one["answers"]), (20, 0))
        code, out, err = w.run("bench", "-n", "3", f"http://127.0.0.1:{port}/")
        equal(code, 7)
        matches(out.decode(), r"refused +3\n")
        matches(err, rf"^aioduct: \(7\) .*{port}")


@case
def truncated_answers_are_counted(w):
    short = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nhello"
    with Server(lambda *_: short) as server:
        one, _ = bench(w, "-n", "5", "-c", "2", server.url(), code=18)
        equal((one["errors"]["truncated"], one["failed"], one["status"]), (5, 5, {}))


@case
def connections_that_close_without_an_answer_are_counted(w):
    with Server(lambda *_: None) as server:
        one, _ = bench(w, "-n", "4", "-c", "1", server.url(), code=52)
        equal(one["errors"]["closed"], 4)


@case
def answers_that_are_no_http_are_counted(w):
    with Server(lambda *_: b"SSH-2.0-hello\r\nConnection: close\r\n") as server:
        one, _ = bench(w, "-n", "4", "-c", "1", server.url(), code=1)
        equal(one["errors"]["protocol"], 4)


@case
def bad_statuses_are_answers_and_errors(w):
    with Server(lambda *_: OK.replace(b"200 OK", b"503 No")) as server:
        one, _ = bench(w, "-n", "10", server.url())
        equal((one["answers"], one["errors"]["http_5xx"], one["status"]), (10, 10, {"503": 10}))
        bench(w, "-n", "10", "-f", server.url(), code=22)
    one, _ = bench(w, "-n", "7", w.nginx.url("/status/404"))
    equal((one["errors"]["http_4xx"], one["errors"]["total"]), (7, 7))


@case
def silence_is_a_timeout(w):
    with Silent() as server:
        one, _ = bench(w, "-n", "3", "-c", "3", "--max-time", "0.2", server.url(), code=28)
        equal((one["errors"]["timeout"], one["failed"]), (3, 3))


@once
def a_process_that_dies_is_said(w):
    with Server() as server:
        with under_way(w, "-z", "60", server.url()) as process:
            server.wait_for(1)
            os.kill(child_of(process), signal.SIGKILL)
            _, err = process.communicate(timeout=60)
            equal(process.returncode, 2)
            matches(err.decode(), r"ended by signal 9")


# ---- time ----


@case
def a_duration_ends(w):
    with Server() as server:
        one, whole = bench(w, "-z", "300ms", "-c", "2", server.url())
        assert one["answers"] > 0
        assert one["seconds"] >= 0.3, one["seconds"]
        equal(whole["settings"]["duration_s"], 0.3)
        assert one["answers"] <= len(server.seen) <= one["started"], (one, len(server.seen))
    with Server() as server:  # whichever comes first
        one, _ = bench(w, "-z", "60", "-n", "5", server.url())
        equal(one["answers"], 5)


@once
def a_duration_ends_also_if_nothing_is_answered(w):
    with Silent() as server:
        one, _ = bench(w, "-z", "0.2", "-c", "3", server.url(), code=28)
        equal((one["started"], one["not_answered"], one["answers"], one["failed"]), (3, 3, 0, 0))


@case
def a_rate_is_never_exceeded(w):
    with Server() as server:
        before = time.monotonic()
        one, whole = bench(w, "-z", "0.5", "--rate", "50", server.url())
        assert 1 <= one["started"] <= 25, one["started"]
        assert one["answers"] <= len(server.seen) <= one["started"], (one, len(server.seen))
        equal(whole["settings"]["latency_from"], "due")
        for number, (at, _, _) in enumerate(server.seen):  # none comes before it is due
            assert at - before >= number / 50, (number, at - before)


@case
def with_a_rate_what_waits_behind_a_stall_is_seen_to_wait(w):
    def stall(number, *_):
        if number == 0:
            time.sleep(0.5)  # the i-th, due 10 i ms after the first, waits for the rest of it
        return OK

    with Server(stall) as server:
        one, _ = bench(w, "-n", "25", "-c", "1", "--rate", "100", server.url())
        equal((one["answers"], len(server.seen), one["connections"]["opened"]), (25, 25, 1))
        assert one["latency_ns"]["min"] >= 260e6, one["latency_ns"]
        assert one["latency_ns"]["p50"] >= 380e6, one["latency_ns"]
        assert one["latency_ns"]["max"] >= 500e6, one["latency_ns"]


@case
def what_was_due_and_never_started_is_counted(w):
    with Silent() as server:
        one, _ = bench(w, "-z", "0.3", "-c", "1", "-R", "100", server.url(), code=28)
        equal((one["started"], one["not_answered"], one["not_started"]), (1, 1, 29))


@case
def ctrl_c_ends_it_and_the_result_is_printed(w):
    with Server() as server:
        with under_way(w, "--json", "-z", "600", server.url()) as process:
            server.wait_for(50)
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=60)
        equal((process.returncode, err), (130, b""))
        whole = json.loads(out)
        equal(whole["interrupted"], True)
        one = whole["runtimes"][0]
        assert one["answers"] >= 40, one["answers"]
        assert one["answers"] <= len(server.seen) <= one["started"], (one, len(server.seen))
        equal(one["failed"], 0)


@once
def a_group_that_is_told_twice_prints_the_result(w):
    """As timeout(1) does it. Stopped meanwhile, it gets both at once."""
    with Server() as server:
        with under_way(w, "--json", "-z", "600", server.url()) as process:
            server.wait_for(50)
            os.kill(process.pid, signal.SIGSTOP)
            os.kill(process.pid, signal.SIGINT)
            os.killpg(process.pid, signal.SIGTERM)
            os.kill(process.pid, signal.SIGCONT)
            out, err = process.communicate(timeout=60)
        equal((process.returncode, err), (130, b""))
        whole = json.loads(out)
        equal((whole["interrupted"], whole["runtimes"][0]["failed"]), (True, 0))
        assert whole["runtimes"][0]["answers"] >= 40, whole


@once
def a_second_signal_ends_it_at_once(w):
    with Server() as server:
        with under_way(w, "--json", "-z", "600", server.url()) as process:
            server.wait_for(1)
            os.kill(child_of(process), signal.SIGSTOP)  # it cannot end in order
            while process.poll() is None:
                process.send_signal(signal.SIGINT)
                time.sleep(0.05)
            out, err = process.communicate(timeout=60)
        equal((process.returncode, out, err), (-signal.SIGINT, b"", b""))


@once
def the_result_has_no_password(w):
    with Server() as server:
        url = server.url("/").replace("//", "//joe:secret@", 1)
        one, whole = bench(w, "-n", "2", url)
        equal((one["answers"], whole["url"]), (2, server.url("/")))
        assert "Authorization: Basic" in server.seen[0][1], server.seen[0]
        chart = w.path("secret.svg")
        out = w.ok("bench", "-n", "2", "--svg", chart, url).decode()
        with open(chart, encoding="ascii") as f:
            shown = f.read() + out
        assert "joe" not in shown and "secret" not in shown, shown


# ---- several runtimes ----


@case
def two_runtimes_take_turns_and_are_compared(w):
    with Server() as server:
        _, whole = bench(w, "-n", "31", "-c", "2", "--runtime", f"{RUNTIME}, epoll", "--rounds", "3", server.url())
        equal([r["runtime"] for r in whole["runtimes"]], [RUNTIME, "epoll"])
        equal([r["answers"] for r in whole["runtimes"]], [31, 31])
        equal(len(server.seen), 62)
        ratio = whole["ratios"][0]
        equal((ratio["runtime"], ratio["to"], len(whole["ratios"])), ("epoll", RUNTIME, 1))
        first, second = whole["runtimes"]
        for name in "requests_per_second", "latency_mean", "latency_p50", "latency_p99":
            assert ratio[name] > 0, ratio
        for name in "requests_per_second", "latency_mean", "latency_p50", "latency_p99", "cpu_per_answer":
            pairs = [(a[name], b[name]) for a, b in zip(first["rounds"], second["rounds"])]
            equal(len(pairs), 3)
            if all(a > 0 for a, _ in pairs):  # of so few requests the CPU may be too little to be seen
                expected = statistics.median(b / a for a, b in pairs)
                assert abs(ratio[name] - expected) < 1e-4 * max(1, expected), (name, ratio, pairs)
        out = w.ok("bench", "-n", "8", "--runtime", f"{RUNTIME},epoll", server.url()).decode()
        matches(out, rf"runtime +{RUNTIME} +epoll +epoll/1st\n")
        matches(out, r"answers +8 +8\n")
        matches(out, r"requests/s +[\d.]+ +[\d.]+ +[\d.]+\n")
    with Server() as server:  # before any has its turn
        _, err = w.fails(2, "bench", "--runtime", f"{RUNTIME},nosuch", server.url())
        matches(err, "runtime 'nosuch' not found")
        equal(server.seen, [])


@case
def a_warm_up_is_not_counted(w):
    with Server() as server:
        one, whole = bench(w, "-n", "7", "-c", "3", "--warm-up", "200ms", server.url())
        equal(whole["settings"]["warm_up_s"], 0.2)
        equal((one["started"], one["answers"], one["failed"], one["status"]), (7, 7, 0, {"200": 7}))
        equal(one["bytes"]["body"], 7 * 5)
        assert 7 + 3 <= len(server.seen), len(server.seen)  # each lane had one at least
    with Server() as server:  # each turn has its own
        _, whole = bench(w, "-n", "4", "-c", "1", "--warm-up", "0.05", "--runtime", f"{RUNTIME},epoll",
                         "--rounds", "2", server.url())
        equal([r["answers"] for r in whole["runtimes"]], [4, 4])
        assert len(server.seen) >= 8 + 4, len(server.seen)
    with Server() as server:  # at a rate, which begins anew
        one, _ = bench(w, "-z", "0.4", "--rate", "50", "--warm-up", "0.1", server.url())
        assert 1 <= one["answers"] <= one["started"] <= 20, one
    with ClosedPort() as port:  # failures of it are not counted either
        one, _ = bench(w, "-n", "3", "-c", "2", "--warm-up", "50ms", f"http://127.0.0.1:{port}/", code=7)
        equal((one["started"], one["errors"]["refused"]), (3, 3))


@once
def a_warm_up_that_is_interrupted_leaves_nothing(w):
    with Server() as server:
        with under_way(w, "--json", "-n", "5", "--warm-up", "600", server.url()) as process:
            server.wait_for(5)
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=60)
        equal((process.returncode, err), (130, b""))
        one = json.loads(out)["runtimes"][0]
        equal((one["answers"], one["failed"]), (0, 0))


@once
def the_chart_is_well_formed_with_a_curve_for_each_runtime(w):
    chart = w.path("bench.svg")
    with Server() as server:
        for runtimes, count in (RUNTIME, 1), (f"{RUNTIME},epoll", 2):
            bench(w, "-n", "40", "--svg", chart, "--runtime", runtimes, server.url("/?a=1&b='2'"))
            root = xml.etree.ElementTree.parse(chart).getroot()
            space = "{http://www.w3.org/2000/svg}"
            equal(root.tag, space + "svg")
            equal(root.find(space + "title").text, server.url("/?a=1&b='2'"))
            curves = root.findall(space + "polyline")
            equal(len(curves), count)
            width, height = float(root.get("width")), float(root.get("height"))
            for curve in curves:
                points = [tuple(map(float, p.split(","))) for p in curve.get("points").split()]
                assert len(points) > 20, points
                equal([x for x, _ in points], sorted(x for x, _ in points))
                equal([y for _, y in points], sorted((y for _, y in points), reverse=True))
                assert all(0 <= x <= width and 0 <= y <= height for x, y in points), points
    with ClosedPort() as port:  # nothing to draw
        bench(w, "-n", "2", "--svg", chart, f"http://127.0.0.1:{port}/", code=7)
        xml.etree.ElementTree.parse(chart)
    _, err = w.fails(23, "bench", "--svg", w.path("no/such/place.svg"), "http://127.0.0.1:1/")
    matches(err, "--svg: .*No such file")
    with Server() as server:
        _, err = w.fails(23, "bench", "-n", "1", "--svg", "/dev/full", server.url())
        matches(err, "cannot be written: No space left")


# ---- no harm ----


@once
def a_target_that_is_not_this_machine_is_refused_and_nothing_is_dialled(w):
    refused = (["http://192.0.2.1/"], ["http://[2001:db8::1]:8080/"], ["http://0.0.0.0/"],
               ["--resolve", "a.test:80:192.0.2.1", "http://a.test/"],
               ["--resolve", "a.test:80:127.0.0.1,192.0.2.1", "http://a.test/"],
               ["--resolve", "a.test:80:127.0.0.1", "--resolve", "a.test:80:192.0.2.1", "http://a.test/"],
               ["--connect-to", "::192.0.2.1:", "http://127.0.0.1/"],
               ["--connect-to", "localhost:80:[2001:db8::1]:80", "http://localhost/"],
               ["http://127.0.0.1@192.0.2.1/"])
    for arguments in refused:
        code, out, err = w.run("bench", "-n", "1", "--connect-timeout", "5", *arguments, env={"AIODUCT_LOG": "debug"})
        equal((code, out), (2, b""), f"{arguments}: {err}")
        matches(err, r"(192\.0\.2\.1|2001:db8::1|0\.0\.0\.0).* is not this machine, and nothing was sent\n.*--yes")
        assert "dial" not in err, err
    with Server() as server:  # as it looks where it is dialled
        _, _, err = w.run("bench", "-n", "1", server.url(), env={"AIODUCT_LOG": "debug"})
        matches(err, "dial")


@once
def names_and_rules_that_lead_here_are_allowed(w):
    with Server() as server:
        port = server.port
        for arguments in ([f"http://localhost:{port}/", "-4"], [f"http://Any.LocalHost.:{port}/", "-4"],
                          ["--yes", server.url()],
                          ["--resolve", f"a.test:{port}:127.0.0.1", f"http://a.test:{port}/"],
                          ["--resolve", "*:" + f"{port}:127.0.0.1", f"http://b.test:{port}/"],
                          ["--connect-to", f"a.test:80:127.0.0.1:{port}", "http://a.test/"],
                          ["--connect-to", f"::c.test:{port}", "--resolve", f"c.test:{port}:127.0.0.1", "http://a.test/"]):
            one, _ = bench(w, "-n", "2", *arguments)
            equal(one["answers"], 2)
        matches(server.seen[-1][1], r"\r\nHost: a\.test\r\n")
    _, err = w.fails(6, "bench", "-n", "1", "http://no.such.name.invalid/")
    matches(err, "cannot resolve no.such.name.invalid")


@once
def a_command_line_that_is_wrong_is_exit_2(w):
    for arguments, what in ((["-c", "0"], "-c: expected a number from 1 to 10000, not '0'"),
                            (["-c", "10001"], "-c: expected a number from 1 to 10000, not '10001'"),
                            (["--connector", "count"], "--connector: .*bench uses no connectors"), (["-n", "x"], "-n"), (["-z", "0"], "-z"),
                            (["-z", "5parsecs"], "-z"), (["--warm-up", "0"], "--warm-up"), (["-z", "25h"], "-z"), (["--rate", "-1"], "--rate"),
                            (["--rate", "nan"], "--rate"), (["-m", "2"], "-m needs HTTP/2"),
                            (["-m", "2", "--http1.1"], "-m needs HTTP/2"), (["--runtime", "epoll,,x"], "--runtime"),
                            (["http://127.0.0.1/"], "one URL"), (["-c", "10000", "-m", "11", "--http2-prior-knowledge"], "100000"),
                            (["--requets", "1"], "did you mean --requests"), (["-o", "file"], "-o"), (["-I", "-d", "x"], "-I")):
        _, err = w.fails(2, "bench", *arguments, "http://127.0.0.1:1/")
        matches(err, what)
        matches(err, "aioduct bench --help")
    w.fails(2, "bench")
    w.fails(3, "bench", "http://")
    w.fails(1, "bench", "ftp://127.0.0.1/")
    out = w.ok("bench", "--help").decode()
    matches(out, r"-c, --connections NUMBER")
    matches(out, r"\n {6}--max-time")  # the letter means streams here
    matches(w.ok("--help").decode(), r"aioduct bench \[options\] URL")


# ---- progress ----


@once
def progress_is_for_terminals(w):
    with Server() as server:
        equal(w.run("bench", "-z", "0.5", server.url())[2], "")
        parent, child = pty.openpty()
        code = subprocess.run([w.aioduct, "bench", "-z", "0.5", server.url()], stdout=subprocess.PIPE, stderr=child,
                              check=False, timeout=60).returncode
        os.close(child)
        equal(code, 0)
        said = b""
        with contextlib.suppress(OSError):  # EIO is the end of what was written there
            while more := os.read(parent, 65536):
                said += more
        os.close(parent)
        said = said.decode()
        matches(said, r"\d+ answers, \d+/s, 0 failed")
        assert said.endswith("\r\x1b[K"), said


if __name__ == "__main__":
    sys.exit(main())

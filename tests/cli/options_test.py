#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The transfer command's options for many transfers, limits, protocols, traces and -w, on the runtime that
AIODUCT_RUNTIME names."""
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from harness import ClosedPort, Peer, Skip, answers, case, certtool, equal, main, matches

CLOSED = ClosedPort()
REFUSED = f"http://127.0.0.1:{CLOSED.__enter__()}/"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def took(function):
    began = time.monotonic()
    result = function()
    return time.monotonic() - began, result


# ---- many transfers ----


@case
def Z_runs_transfers_at_the_same_time(w):
    gate = threading.Barrier(3)  # each answer waits for all requests

    def together(connection, _):
        gate.wait(20)
        connection.sendall(OK)

    with Peer(together, parallel=True) as peer:
        out = w.ok("-Z", "-w", "%{http_code} ", "-o", w.path("z1"), "-o", w.path("z2"), "-o", w.path("z3"),
                   peer.url("/1"), peer.url("/2"), peer.url("/3"))
        equal(out, b"200 200 200 ")
        for name in ("z1", "z2", "z3"):
            with open(w.path(name), "rb") as f:
                equal(f.read(), b"hello")


@case
def parallel_max_bounds_how_many(w):
    lock, now, most = threading.Lock(), [0], [0]

    def count(connection, _):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)  # so that others would come meanwhile
        with lock:
            now[0] -= 1
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    with Peer(count, parallel=True) as peer:
        w.ok("-Z", "--parallel-max", "3", *[peer.url(f"/{i}") for i in range(9)])
        equal(len(peer.requests), 9)
        equal(most[0], 3)
    for bad in "301", "x", "-1":
        _, err = w.fails(2, "-Z", "--parallel-max", bad, "http://a/")
        matches(err, "--parallel-max")


@case
def Z_gives_the_code_of_what_failed_and_goes_on(w):
    out, _ = w.fails(7, "-Z", "-sS", "-w", "%{http_code}\n", REFUSED, "-o", "/dev/null",
                     "-o", "/dev/null", w.nginx.url("/hello.txt"))
    equal(sorted(out.split()), [b"000", b"200"])


@case
def a_method_that_is_no_token_is_named_with_its_option(w):
    _, err = w.fails(2, "-X", "A B", "http://127.0.0.1:1/")
    matches(err, r"-X 'A B' is not a token")


@case
def a_serial_run_gives_the_code_of_the_last_and_fail_early_stops(w):
    refused = REFUSED
    equal(w.ok("-s", refused, w.nginx.url("/hello.txt")), b"hello, world\n")
    out, _ = w.fails(7, "-s", "--fail-early", refused, w.nginx.url("/hello.txt"))
    equal(out, b"")


@case
def two_hundred_transfers_at_once(w):
    names = [w.path(f"many{i}") for i in range(200)]
    arguments = []
    for name in names:
        arguments += ["-o", name, w.nginx.url("/hello.txt")]
    w.ok("-Z", *arguments)
    for name in names:
        with open(name, "rb") as f:
            equal(f.read(), b"hello, world\n")


# ---- limits ----


@case
def limit_rate_holds_a_download_back(w):
    w.nginx.write("rate.bin", os.urandom(400000))
    for which in "plain", "tls":
        seconds, _ = took(lambda: w.ok("-s", "--cacert", w.ca, "--limit-rate", "200K", "-o", w.path("rate"),
                                       w.nginx.url("/rate.bin", which)))
        equal(os.path.getsize(w.path("rate")), 400000)
        assert 1.6 <= seconds < 6, seconds  # 1.95 s less the burst of a twentieth of a second


@case
def limit_rate_holds_an_upload_back(w):
    with open(w.path("up"), "wb") as f:
        f.write(os.urandom(300000))
    for option in ("-T", w.path("up")), ("--data-binary", "@" + w.path("up")):
        with Peer(answers(OK)) as peer:
            seconds, out = took(lambda: w.ok("--limit-rate", "200000", *option, peer.url("/x")))
            equal(out, b"hello")
            equal(len(peer.requests[0].partition(b"\r\n\r\n")[2]), 300000)
            assert 1.2 <= seconds < 5, seconds


@case
def numbers_with_suffixes_are_checked(w):
    for good in "1", "10k", "1.5M", "2G", "100B":
        w.ok("--limit-rate", good + ("" if good not in "1" else "000000"), "-o", "/dev/null", w.nginx.url("/hello.txt"))
    for bad in "", "K", "10x", "-5", "1KK", "1e400":
        _, err = w.fails(2, "--limit-rate", bad, "http://a/")
        matches(err, "--limit-rate.*bytes")
        w.fails(2, "--max-filesize", bad, "http://a/")


@case
def max_filesize_is_exit_63_before_and_in_the_body(w):
    out, err = w.fails(63, "--max-filesize", "12", w.nginx.url("/hello.txt"))
    equal(out, b"")
    matches(err, "12 bytes of --max-filesize")
    equal(w.ok("--max-filesize", "13", w.nginx.url("/hello.txt")), b"hello, world\n")
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5\r\nhello\r\n" * 3 + b"0\r\n\r\n"
    with Peer(answers(chunks)) as peer:
        w.fails(63, "--max-filesize", "14", peer.url())
        equal(w.ok("--max-filesize", "15", peer.url()), b"hello" * 3)


@case
def speed_limit_ends_what_is_too_slow(w):
    def drip(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.1)

    with Peer(drip) as peer:
        seconds, (_, err) = took(lambda: w.fails(28, "-Y", "1000", "-y", "2", "-o", "/dev/null", peer.url()))
        matches(err, r"slower than 1000 bytes a second \(-Y\) for 2 seconds")
        assert 1.9 <= seconds < 6, seconds
    equal(w.ok("-Y", "1", "-y", "1", w.nginx.url("/hello.txt")), b"hello, world\n")


@case
def speed_limit_ends_an_upload_that_nobody_takes_and_no_other(w):
    with open(w.path("slow"), "wb") as f:
        f.truncate(30 << 20)  # more than the sockets hold
    for option in ("-T", w.path("slow")), ("--data-binary", "@" + w.path("slow")):
        gate = threading.Event()
        with Peer(lambda connection, _: gate.wait(30), read=False) as peer:  # pylint: disable=cell-var-from-loop
            _, err = w.fails(28, "-H", "Expect:", "-Y", "100", "-y", "1", *option, peer.url())
            gate.set()
        matches(err, r"slower than 100 bytes a second \(-Y\) for 1 seconds")


@case
def an_upload_is_counted_as_it_goes(w):
    size = 20 << 20
    with open(w.path("steady"), "wb") as f:
        f.truncate(size)
    gate = threading.Event()

    def in_two_parts(connection, _):
        gate.wait(30)
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(4096)
        left = size - len(data.partition(b"\r\n\r\n")[2])
        while left > 0:
            left -= len(connection.recv(min(left, 1 << 20)))
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")

    for option in ("-T", w.path("steady")), ("--data-binary", "@" + w.path("steady")):
        gate.clear()
        with Peer(in_two_parts, read=False) as peer:
            process = subprocess.Popen([w.aioduct, "-#", "-H", "Expect:", *option, peer.url("/x")],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            shown = b""
            while not re.search(rb"\r[1-9]\d* bytes", shown):  # what the sockets hold
                more = os.read(process.stderr.fileno(), 4096)
                assert more, shown
                shown += more
            gate.set()
            out, err = process.communicate(timeout=60)
        equal((process.returncode, out), (0, b"hello"))
        assert err.endswith(b"\r%d bytes\n" % (size + 5)), err


@case
def nothing_is_limited_unless_asked(w):
    """Silence of a server is no error of the command, as curl has it; the library's own limit would be a minute."""
    code, _, err = w.run("-m", "0.2", "-w", "%{exitcode}", "http://127.0.0.1:1/")
    equal(code, 7, err)
    long_head = b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 100000 + b"\r\nContent-Length: 0\r\n\r\n"
    with Peer(answers(long_head)) as peer:
        w.ok(peer.url())


@case
def expect100_timeout_is_how_long_a_body_waits(w):
    with open(w.path("body"), "wb") as f:
        f.write(b"x" * 1500000)
    with Peer(answers(OK)) as peer:  # reads the body before it answers anything
        seconds, _ = took(lambda: w.ok("--expect100-timeout", "0.7", "-T", w.path("body"), peer.url("/x")))
        assert 0.65 <= seconds < 5, seconds
        matches(peer.requests[0].decode("latin-1"), r"(?i)\r\nExpect: 100-continue\r\n")
        seconds, _ = took(lambda: w.ok("-H", "Expect:", "--expect100-timeout", "9", "-T", w.path("body"), peer.url("/x")))
        assert seconds < 5, seconds
        assert b"Expect" not in peer.requests[1].partition(b"\r\n\r\n")[0]
        w.ok("-d", "small", peer.url())
        assert b"Expect" not in peer.requests[2]
        w.ok("-d", "small", "-H", "Expect: 100-continue", "--expect100-timeout", "0.1", peer.url())
        matches(peer.requests[3].decode(), r"\r\nExpect: 100-continue\r\n.*small$")


@case
def keepalive_options_reach_the_socket(w):
    strace = subprocess.run(["which", "strace"], stdout=subprocess.PIPE, check=False).stdout.decode().strip()
    equal(w.ok("--keepalive-time", "7", w.nginx.url("/hello.txt")), b"hello, world\n")
    equal(w.ok("--no-keepalive", w.nginx.url("/hello.txt")), b"hello, world\n")
    w.fails(2, "--keepalive-time", "x", w.nginx.url("/hello.txt"))
    if not strace:
        raise Skip("no strace to see the socket's options with")

    def seen(*options):
        done = subprocess.run([strace, "-f", "-e", "trace=setsockopt", w.aioduct, *options, "-o", "/dev/null",
                               w.nginx.url("/hello.txt")], stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise Skip("strace may not trace here")
        return done.stderr.decode()

    matches(seen("--keepalive-time", "7"), r"TCP_KEEPIDLE, \[7\]")
    assert "SO_KEEPALIVE" not in seen("--no-keepalive")


# ---- protocols ----


@case
def http2_on_https_is_by_alpn_with_fallback_and_on_http_it_is_1_1(w):
    for options, expected in (("--http2",), b"1.1"), (("--http1.1",), b"1.1"), ((), b"1.1"):
        out = w.ok(*options, "--cacert", w.ca, "-o", "/dev/null", "-w", "%{http_version}", w.nginx.url("/hello.txt"))
        equal(out, expected)
        out = w.ok(*options, "--cacert", w.ca, "-o", "/dev/null", "-w", "%{http_version}",
                   w.nginx.url("/hello.txt", "tls"))  # which offers no h2
        equal(out, expected)


@case
def http2_is_spoken_where_the_server_has_it(w):
    url = w.nginx.url("/hello.txt", "h2")
    for options, expected in ((), b"2"), (("--http2",), b"2"), (("--http2-prior-knowledge",), b"2"), (("--http1.1",), b"1.1"):
        out = w.ok(*options, "--cacert", w.ca, "-w", "%{http_version}", url)
        equal(out, b"hello, world\n" + expected, options)
    equal(w.ok("--http2-prior-knowledge", "-w", "%{http_version}", w.nginx.url("/hello.txt", "h2c")), b"hello, world\n2")
    out = w.ok("-i", "--cacert", w.ca, url).decode()
    matches(out, r"^HTTP/2 200 \r\n(?:[a-z-]+: .*\r\n)+\r\nhello, world\n$")
    _, _, err = w.run("-v", "--cacert", w.ca, "-o", "/dev/null", url)
    matches(err, r"speaks h2\n.*> GET /hello\.txt .*< HTTP/2 200 ?\n")
    _, _, err = w.run("-v", "--cacert", w.ca, "-o", "/dev/null", "-A", "me/1", "-u", "a:b", "-H", "X-Thing: x", url)
    host = url.split("/")[2]
    matches(err, rf"\* \[HTTP/2\] \[:method: GET\]\n\* \[HTTP/2\] \[:scheme: https\]\n\* \[HTTP/2\] \[:authority: {host}\]\n"
            r"\* \[HTTP/2\] \[:path: /hello\.txt\]\n(\* \[HTTP/2\] \[[a-z-]+: .*\]\n)+"
            rf"> GET /hello\.txt HTTP/2\n> Host: {host}\n(> [a-z-]+: .*\n)+> \n")
    for line in "user-agent: me/1", "accept: */*", "x-thing: x", "authorization: [hidden]":
        equal((err.count(f"* [HTTP/2] [{line}]\n"), err.count(f"> {line}\n")), (1, 1), line)
    equal(w.ok("--http1.1", "-v", "--cacert", w.ca, url), b"hello, world\n")


@case
def transfers_at_once_share_an_http2_connection(w):
    url = w.nginx.url("/hello.txt", "h2")
    out = w.ok("-Z", "--cacert", w.ca, "-w", "%{num_connects}\n", *[a for i in range(20) for a in ("-o", "/dev/null", url)])
    equal(sorted(out.split()), [b"0"] * 19 + [b"1"])


@case
def parallel_immediate_does_not_wait_for_what_the_first_connection_learns(w):
    for which in "tls", "h2":
        outputs = [a for _ in range(5) for a in ("-o", "/dev/null", w.nginx.url("/hello.txt", which))]
        dials = []
        for options in (), ("--parallel-immediate",):
            out, err = [w.run("-Z", *options, "--cacert", w.ca, "-w", "%{http_code} ", *outputs,
                              env={"AIODUCT_LOG": "debug"})[i] for i in (1, 2)]
            equal(out.split(), [b"200"] * 5)
            early = err[:err.index(": opened: ")]
            dials.append(len(re.findall(r": dial: ", early)))
        equal(dials, [1, 5], which)


@case
def what_breaks_http2_is_exit_16_and_a_stream_that_is_reset_92(w):
    settings = b"\0\0\0\4\0\0\0\0\0"

    def broken(connection, _):
        connection.sendall(settings + b"\0\0\5\6\0\0\0\0\0short")  # a PING of five bytes
        while connection.recv(65536):
            pass

    def reset(connection, _):
        connection.sendall(settings)
        stream = connection.makefile("rb")
        stream.read(24)  # the preface
        kind = None
        while kind != 1:  # HEADERS
            head = stream.read(9)
            kind = head[3]
            stream.read(int.from_bytes(head[:3], "big"))
        connection.sendall(b"\0\0\4\3\0\0\0\0\1\0\0\0\2")  # RST_STREAM 1 INTERNAL_ERROR
        while connection.recv(65536):
            pass

    with Peer(broken, read=False) as peer:
        w.fails(16, "--http2-prior-knowledge", peer.url())
    with Peer(reset, read=False) as peer:
        w.fails(92, "--http2-prior-knowledge", peer.url())


@case
def http1_1_after_http2_wins_as_the_last_word(w):
    out = w.ok("--http2-prior-knowledge", "--http1.1", "-o", "/dev/null", "-w", "%{http_version}",
               w.nginx.url("/hello.txt"))
    equal(out, b"1.1")


# ---- headers, names ----


@case
def H_reads_lines_of_a_file(w):
    with open(w.path("fields"), "wb") as f:
        f.write(b"X-One: 1\r\nX-Two: 2\n\nAccept:\nX-Three;")
    with Peer(answers(OK)) as peer:
        w.ok("-H", "@" + w.path("fields"), "-H", "X-Four: 4", peer.url())
        head = peer.requests[0].decode()
        matches(head, r"\r\nX-One: 1\r\nX-Two: 2\r\nX-Three: ?\r\nX-Four: 4\r\n")
        assert "Accept" not in head, head
    w.fails(26, "-H", "@" + w.path("missing"), w.nginx.url("/hello.txt"))


@case
def H_Host_asks_for_another_host_on_the_same_connection(w):
    with Peer(answers(OK)) as peer:
        equal(w.ok("-H", "Host: other.example:81", peer.url()), b"hello")
        matches(peer.requests[0].decode(), r"\r\nHost: other\.example:81\r\n")
        equal(peer.requests[0].decode().count("Host:"), 1)
        _, err = w.fails(2, "-H", "Host:", peer.url())
        matches(err, "Host")


@case
def the_last_resolve_rule_counts_and_a_minus_takes_one_back(w):
    port = w.nginx.ports["plain"]
    url = f"http://made.up:{port}/hello.txt"
    good, bad = f"made.up:{port}:127.0.0.1", f"made.up:{port}:127.0.0.9"
    equal(w.ok("--resolve", bad, "--resolve", good, url), b"hello, world\n")
    w.fails(7, "--resolve", good, "--resolve", bad, url)
    equal(w.ok("--resolve", "+" + good, "--resolve", bad, "--resolve", f"-made.up:{port}", "--resolve", good, url),
          b"hello, world\n")
    w.fails(6, "--resolve", f"name.invalid:{port}:127.0.0.1", "--resolve", f"-name.invalid:{port}",
            f"http://name.invalid:{port}/")


# ---- -w ----


@case
def json_is_text_whatever_the_peer_says(w):
    bad = "\ufffd"
    values = ((b"caf\xe9", "caf" + bad), (b"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\u00e4\u20ac\U0001f600"),
              (b"\xed\xa0\x80", bad * 3), (b"\xc0\x80", bad * 2), (b"\xf4\x90\x80\x80", bad * 4),
              (b"\xe2\x82", bad * 2), (b"\xf0\x9f\x98", bad * 3), (b"\xe0\x9f\xbf\xee\x80\x80", bad * 3 + "\ue000"))
    fields = b"".join(b"A: " + value + b"\r\n" for value, _ in values)
    with Peer(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + fields + b"\r\n")) as peer:
        out = w.ok("-o", "/dev/null", "-w", "%{header_json}", peer.url())
        equal(json.loads(out.decode())["a"], [text for _, text in values])


@case
def w_prints_headers_and_json(w):
    answer = (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: two \"2\"\r\nContent-Type: a/b\r\n\r\nhello")
    with Peer(answers(answer)) as peer:
        out = w.ok("-o", "/dev/null", "-w", "%header{X-a}|%header{none}|%header{content-type}|%{content_type}", peer.url())
        equal(out, b"1||a/b|a/b")
        out = json.loads(w.ok("-o", "/dev/null", "-w", "%{header_json}", peer.url()))
        equal(out, {"content-length": ["5"], "x-a": ["1", 'two "2"'], "content-type": ["a/b"]})
        out = json.loads(w.ok("-o", "/dev/null", "-w", "%{json}", peer.url("/p?q")))
        equal((out["http_code"], out["size_download"], out["http_version"], out["num_headers"], out["exitcode"]),
              (200, 5, "1.1", 4, 0))
        equal((out["url"], out["url_effective"], out["errormsg"], out["method"]),
              (peer.url("/p?q"), peer.url("/p?q"), None, "GET"))
        assert 0 < out["time_starttransfer"] <= out["time_total"], out
        assert out["time_queue"] <= out["time_connect"] <= out["time_pretransfer"], out


@case
def w_goes_to_stderr_and_stdout_and_knows_errors(w):
    _, out, err = w.run("-o", "/dev/null", "-w", "a%{stderr}b%{stdout}c%{onerror}d", w.nginx.url("/hello.txt"))
    equal((out, err), (b"ac", "b"))
    _, out, _ = w.run("-s", "-w", "%{exitcode}%{onerror}[%{errormsg}]", REFUSED)
    matches(out.decode(), r"^7\[.*Connection refused\]$")
    _, out, err = w.run("-o", "/dev/null", "-w", "%{nonsense}x", w.nginx.url("/hello.txt"))
    equal(out, b"x")
    matches(err, "unknown -w variable: 'nonsense'")


@case
def w_says_where_a_redirect_would_lead(w):
    for location, expected in (("/b?c", "http://127.0.0.1:{p}/b?c"), ("b", "http://127.0.0.1:{p}/d/b"),
                               ("../b", "http://127.0.0.1:{p}/b"), ("//h.example/x", "http://h.example/x"),
                               ("https://h.example", "https://h.example/"), ("?z", "http://127.0.0.1:{p}/d/a?z")):
        answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
        with Peer(answers(answer)) as peer:
            out = w.ok("-w", "%{redirect_url} %{num_redirects}", peer.url("/d/a?q"))
            equal(out.decode(), expected.format(p=peer.port) + " 0")
    equal(w.ok("-o", "/dev/null", "-w", "[%{redirect_url}]", w.nginx.url("/hello.txt")), b"[]")


# ---- traces ----


@case
def trace_and_body_on_one_output_keep_their_order(w):
    out = w.ok("--trace-ascii", "-", w.nginx.url("/hello.txt"), w.nginx.url("/hello.txt")).decode()
    once = r"=> Send header, .*<= Recv header, .*<= Recv data, 13 bytes \(0xd\)\n0000: hello, world\.\nhello, world\n"
    matches(out, once + ".*" + once)
    equal(out.count("\nhello, world\n"), 2, out)


@case
def trace_writes_all_bytes_in_hexadecimal(w):
    with Peer(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhell\x00\xff")) as peer:
        w.ok("--trace", w.path("trace"), "-o", "/dev/null", "-d", "abc", "-u", "me:secret", peer.url("/t"))
        with open(w.path("trace"), encoding="ascii") as f:
            text = f.read()
        matches(text, r"== Info: Connected to 127\.0\.0\.1 \(127\.0\.0\.1\) port \d+\n")
        matches(text, r"=> Send header, \d+ bytes \(0x[0-9a-f]+\)\n0000: 50 4f 53 54 20 2f 74 20 48 54 54 50 2f 31 2e 31 POST /t HTTP/1\.1\n")
        matches(text, r"=> Send data, 3 bytes \(0x3\)\n0000: 61 62 63 +abc\n")
        matches(text, r"<= Recv header, 17 bytes \(0x11\)\n0000: 48 54 54 50")
        matches(text, r"<= Recv data, 6 bytes \(0x6\)\n0000: 68 65 6c 6c 00 ff +hell\.\.\n")
        assert text.index("=> Send header") < text.index("=> Send data") < text.index("<= Recv header"), text
        assert "bWU6c2VjcmV0" not in text and "62 57 55 36" not in text, text


@case
def trace_ascii_is_text_alone_with_the_time_if_asked(w):
    _, out, err = w.run("--trace-ascii", "%", "--trace-time", "-o", "/dev/null", w.nginx.url("/hello.txt"))
    equal(out, b"")
    matches(err, r"(?m)^\d\d:\d\d:\d\d\.\d{6} => Send header, \d+ bytes \(0x[0-9a-f]+\)\n0000: GET /hello\.txt HTTP/1\.1\n")
    matches(err, r"<= Recv data, 13 bytes \(0xd\)\n0000: hello, world\.\n")
    out = w.ok("--trace-ascii", "-", "-o", "/dev/null", w.nginx.url("/hello.txt"))
    matches(out.decode(), r"=> Send header")
    _, _, err = w.run("-v", "--trace-time", "-o", "/dev/null", w.nginx.url("/hello.txt"))
    matches(err, r"(?m)^\d\d:\d\d:\d\d\.\d{6} > GET /hello\.txt")
    _, err = w.fails(23, "--trace", "/nonexistent/x", w.nginx.url("/hello.txt"))
    matches(err, "/nonexistent/x")


@case
def show_secrets_is_for_traces_too(w):
    w.ok("--trace-ascii", w.path("t"), "--show-secrets", "-u", "me:secret", "-o", "/dev/null", w.nginx.url("/hello.txt"))
    with open(w.path("t"), encoding="ascii") as f:
        matches(f.read(), "Authorization: Basic bWU6c2VjcmV0")


@case
def v_tells_of_connections(w):
    _, _, err = w.run("-v", "-o", "/dev/null", "-o", "/dev/null", w.nginx.url("/hello.txt"), w.nginx.url("/hello.txt"))
    matches(err, r"\* +Trying \S+ port \d+\.\.\.\n.*\* Connected to localhost \(\S+\) port \d+\n.*> GET .*< HTTP/1\.1 200 OK\n"
                 r".*\* Reusing connection #\d+ to localhost\n.*> GET .*\* Closing connection #\d+ \(client\)\n")
    _, _, err = w.run("-v", REFUSED)
    matches(err, r"\* connect to 127\.0\.0\.1 port \d+ failed: Connection refused\n")


# ---- progress, errors, help ----


@case
def a_bar_shows_progress_unless_silent(w):
    _, _, err = w.run("-#", "-o", w.path("bar"), w.nginx.url("/hello.txt"))
    matches(err, r"\r#{60} 100\.0%\n$")
    equal(w.run("-s", "-#", "-o", w.path("bar"), w.nginx.url("/hello.txt"))[2], "")


@case
def fail_with_body_keeps_the_body(w):
    out, err = w.fails(22, "--fail-with-body", w.nginx.url("/status/404"))
    equal(out, b"gone\n")
    matches(err, "404")
    equal(w.ok("--fail-with-body", w.nginx.url("/hello.txt")), b"hello, world\n")
    w.fails(2, "-f", "--fail-with-body", w.nginx.url("/hello.txt"))


@case
def a_value_that_is_none_is_repeated(w):
    for option, said in (("-m", "seconds, such as"), ("--limit-rate", "bytes, such as"), ("-y", "a number from 0 to")):
        _, err = w.fails(2, option, "abc", "http://a/")
        matches(err, f"option {option}: expected {said}.*, not 'abc'")


@case
def an_unknown_option_names_the_nearest_and_what_curl_has_is_said(w):
    for given, said in (("--slient", "did you mean --silent"), ("--paralel", "did you mean --parallel"),
                        ("--head-only", "is unknown"), ("--user-agnt", "did you mean --user-agent"),
                        ("--conn", "did you mean --conn"), ("-L", "redirects are not followed"),
                        ("--location", "redirects are not followed"), ("--retry", "not supported"),
                        ("--zzzzzzzz", "is unknown")):
        _, err = w.fails(2, given, "http://a/")
        matches(err, re.escape(given) + ".*" + said)


@case
def help_has_one_line_for_each_option_under_a_heading(w):
    out = w.ok("--help").decode()
    lines = out.splitlines()
    options = [l for l in lines if re.match(r"  (-.,|   ) --\S", l)]
    assert len(options) > 50, len(options)
    for line in options:
        assert len(line) <= 120 and len(line.split("  ")[-1]) > 3, line
    for heading in "Request", "Output", "Connection", "Limits", "Many transfers", "TLS", "The command":
        assert heading in lines, heading
    names = [re.search(r"--(\S+)", l).group(1) for l in options]
    equal(len(names), len(set(names)))


def a_server_at(address):
    """Answers one connection of a unix-domain socket."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.settimeout(20)
    listener.bind(address)
    listener.listen(4)

    def serve():
        with listener, listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(OK)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@case
def a_unix_domain_socket_is_connected_to_whatever_the_host(w):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.sock")
        thread = a_server_at(path)
        equal(w.ok("--unix-socket", path, "http://no-such-name.invalid/"), b"hello")
        thread.join()
        name = f"aioduct-options-{os.getpid()}"
        thread = a_server_at("\0" + name)
        out = w.ok("--abstract-unix-socket", name, "-w", " %{remote_ip}", "http://no-such-name.invalid/")
        equal(out.decode(), f"hello unix:@{name}")
        thread.join()
        _, err = w.fails(7, "--unix-socket", path + "x", "http://no-such-name.invalid/")
        matches(err, rf"\(unix:{path}x\)")


@case
def connectors_are_named_on_the_command_line(w):
    _, err = w.fails(2, "--connector", "nonesuch", REFUSED)
    matches(err, "connector 'nonesuch' not found. Tried: built in")
    env = {"AIODUCT_CONNECTOR": "nonesuch"}
    _, err = w.fails(2, REFUSED, env=env)
    matches(err, "connector 'nonesuch' not found")
    equal(w.ok("--connector", "none", w.nginx.url("/hello.txt"), env=env), b"hello, world\n")


@case
def every_option_of_the_help_is_tried_by_a_test(w):
    text = ""
    for name in "options_test.py", "transfer_test.py", "curl_test.py", "plugins_test.py":
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), encoding="utf-8") as f:
            text += f.read()
    tried = set(re.findall(r'"(--[a-z0-9][a-z0-9.-]*)"', text))
    tried.update(f"-{letter}" for letters in re.findall(r'"-([A-Za-z#0-9]{1,3})"', text) for letter in letters)
    missing = []
    for letter, name in re.findall(r"(?m)^  (?:-(.), |    )(--\S+)", w.ok("--help").decode()):
        if name not in tried and f"-{letter}" not in tried:
            missing.append(name)
    equal(missing, [])


@case
def a_password_opens_the_key_of_a_certificate(w):
    certtool("--to-p8", "--load-privkey", w.path("client.key"), "--password", "pass:word", "--outfile", w.path("locked.key"))
    url = w.nginx.url("/hello.txt", "mutual")
    common = ("--cacert", w.ca, "--key", w.path("locked.key"))
    for options in (("--cert", w.path("client.pem") + ":pass:word"), ("-E", w.path("client.pem"), "--pass", "pass:word")):
        equal(w.ok(*common, *options, url), b"hello, world\n")
    w.fails(58, *common, "--cert", w.path("client.pem"), "--pass", "wrong", url)


@case
def data_ascii_and_url_are_other_names(w):
    with Peer(answers(OK)) as peer:
        w.ok("--data-ascii", "a=1", "--url", peer.url("/u"))
        matches(peer.requests[0].decode(), r"^POST /u .*\r\n\r\na=1$")


@case
def IPv6_only_does_not_fall_back(w):
    port = w.nginx.ports["plain"]
    code, _, err = w.run("-6", "--resolve", f"four.example:{port}:127.0.0.1", f"http://four.example:{port}/")
    assert code in (6, 7), (code, err)


@case
def a_key_log_that_cannot_be_written_fails_nothing(w):
    for which in "plain", "tls":
        code, out, err = w.run("--cacert", w.ca, w.nginx.url("/hello.txt", which), env={"SSLKEYLOGFILE": "/nonexistent/k"})
        equal((code, out), (0, b"hello, world\n"), err)
        matches(err, "SSLKEYLOGFILE /nonexistent/k cannot be written")


@case
def names_of_certificates_cannot_drive_the_terminal(w):
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                           "-keyout", w.path("evil.key"), "-out", w.path("evil.pem"), "-subj", "/CN=evil",
                           "-addext", "subjectAltName=DNS:e\x1b[31mvil"], stderr=subprocess.PIPE, check=False)
    if made.returncode != 0:
        raise Skip("openssl does not make such a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(w.path("evil.pem"), w.path("evil.key"))

    def shake(connection, _):
        context.wrap_socket(connection, server_side=True)

    with Peer(shake, read=False) as peer:
        url = peer.url().replace("http://127.0.0.1", "https://localhost")
        _, err = w.fails(60, "--cacert", w.path("evil.pem"), url)
    assert "\x1b" not in err, err
    matches(err, r"e\\x1b\[31mvil")


@case
def O_stays_in_the_directory(w):
    """C110: what the URL says of a file's name does not lead elsewhere."""
    folder = w.path("here")
    os.makedirs(folder, exist_ok=True)
    with Peer(answers(OK)) as peer:
        for path in "/a/%2e%2e%2fetc%2fpasswd", "/x/..%5cy":
            subprocess.run([w.aioduct, "-sS", "-O", peer.url(path)], cwd=folder, check=True)
    equal(sorted(os.listdir(folder)), ["%2e%2e%2fetc%2fpasswd", "..%5cy"])
    for path in "/..", "/.", "/", "/a/..", "/" + "n" * 256:
        w.fails(23, "-O", w.nginx.url(path))


sys.exit(main())

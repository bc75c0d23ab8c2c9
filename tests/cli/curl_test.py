#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where the command has curl's options it has their meaning: both are run with the same arguments, and exit code,
output, files, -w values and what the server got are compared."""
import json
import os
import re
import shutil
import subprocess
import sys

from harness import ClosedPort, Peer, Skip, answers, case, equal, main

CURL = shutil.which("curl")
CURL_MAJOR = int(re.search(r"curl (\d+)", subprocess.run([CURL, "--version"], stdout=subprocess.PIPE, text=True,
                                                         check=True).stdout).group(1)) if CURL else 0
NEWER = {"time_posttransfer"}  # members of json that curl 8 added
VALUES = ("http_code", "size_download", "size_header", "size_request", "size_upload", "num_connects", "num_headers",
          "num_redirects", "content_type", "method", "http_version", "exitcode", "redirect_url", "response_code",
          "http_connect", "ssl_verify_result", "urlnum", "remote_port", "remote_ip", "url", "url_effective", "referer")
FORMAT = "".join(f"{name}=%{{{name}}}\\n" for name in VALUES) + "server=%header{server}\\nnone=%header{none}\\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello"


def run(program, args, cwd, stdin=None):
    done = subprocess.run([*program, *args], cwd=cwd, input=stdin, timeout=60, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout, done.stderr


def files(folder):
    result = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as f:
            result[name] = f.read()
    return result


def undated(text):
    """The second may end between the two."""
    return re.sub(rb"(?i)(\ndate: )[^\r\n]*", rb"\1", text)


def both(w, *args, stdin=None, stdout=True):
    """Exit code, standard output and files are the same. -> (curl's, ours)"""
    got = []
    for name, program in (("curl", [CURL, "-q"]), ("ours", [w.aioduct])):
        folder = w.path("as-" + name)
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        code, out, err = run([*program, "-sS", "-A", "same/1"], args, folder, stdin)
        got.append((code, undated(out) if stdout else b"", {n: undated(b) for n, b in files(folder).items()}, err))
    equal(got[1][:3], got[0][:3], f"{args}, ours against curl's (which said {got[0][3]!r}, ours {got[1][3]!r})")
    return got


def same_requests(w, *args, play=answers(OK), stdin=None):
    """A server sees the same request from both, but for the order of fields."""
    seen = []
    for program in ([CURL, "-q"], [w.aioduct]):
        with Peer(play) as peer:
            run([*program, "-sS", "-A", "same/1"], [a.replace("PORT", str(peer.port)) for a in args], w.folder, stdin)
            for request in peer.requests:
                head, _, body = request.partition(b"\r\n\r\n")
                line, *fields = head.replace(str(peer.port).encode(), b"PORT").split(b"\r\n")
                seen.append((program is not None, line, sorted(f.lower().rstrip() for f in fields), body))
    half = len(seen) // 2
    equal([s[1:] for s in seen[half:]], [s[1:] for s in seen[:half]], f"{args}: requests, ours against curl's")
    assert half > 0, seen


@case
def values_after_a_plain_answer(w):
    for path in "/hello.txt", "/status/404", "/", "/hello.txt?q=1", "/missing":
        both(w, "-o", "body", "-w", FORMAT, w.nginx.url(path))


@case
def values_over_tls(w):
    both(w, "--http1.1", "--cacert", w.ca, "-o", "body", "-w", FORMAT, w.nginx.url("/hello.txt", "tls"))
    both(w, "--http1.1", "-k", "-o", "body", "-w", FORMAT.replace("ssl_verify_result=%{ssl_verify_result}\\n", ""),
         w.nginx.url("/hello.txt", "wrong"))


@case
def values_over_http2(w):
    if "HTTP2" not in subprocess.run([CURL, "--version"], stdout=subprocess.PIPE, check=False).stdout.decode():
        raise Skip("this curl has no HTTP/2")
    # curl puts HTTP/1's text together to count; what went over the wire is shorter.
    fields = FORMAT.replace("size_request=%{size_request}\\n", "").replace("size_header=%{size_header}\\n", "")
    for options, which in (("--http2",), "h2"), ((), "h2"), (("--http2-prior-knowledge",), "h2c"):
        for path in "/hello.txt", "/status/404":
            both(w, *options, "--cacert", w.ca, "-o", "body", "-w", fields, w.nginx.url(path, which))
    both(w, "-i", "--cacert", w.ca, w.nginx.url("/hello.txt", "h2"))
    both(w, "-d", "a=1", "--cacert", w.ca, "-o", "body", "-w", fields, w.nginx.url("/echo", "h2"))


@case
def values_of_several_transfers(w):
    both(w, "-o", "1", "-o", "2", "-w", FORMAT, w.nginx.url("/hello.txt"), w.nginx.url("/status/404"))
    both(w, "-O", "-o", "2", "-w", FORMAT, w.nginx.url("/hello.txt"), w.nginx.url("/echo"))


@case
def values_of_uploads(w):
    with open(w.path("small"), "wb") as f:
        f.write(b"x" * 1000)
    for options in (("-d", "a=1"), ("-d", "a=1", "-d", "b=2"), ("-X", "PUT", "-d", "x"), ("--data-binary", "@" + w.path("small"))):
        both(w, *options, "-o", "body", "-w", FORMAT, w.nginx.url("/echo"))
    # What curl sends apart from the head it does not count as the request's size.
    both(w, "-T", w.path("small"), "-H", "Expect:", "-o", "body",
         "-w", FORMAT.replace("size_request=%{size_request}\\n", ""), w.nginx.url("/echo"))


@case
def values_of_heads_and_redirects(w):
    both(w, "-I", "-w", FORMAT, w.nginx.url("/status/404"), stdout=False)
    for location in "/b?c", "b", "../b", "https://h.example/", "?z":
        answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
        with Peer(answers(answer)) as peer:
            both(w, "-o", "body", "-w", "%{http_code} %{redirect_url}", peer.url("/d/a?q"))


@case
def the_members_of_json_have_the_same_values(w):
    got = both(w, "-o", "body", "-w", "%{json}", w.nginx.url("/hello.txt"), stdout=False)
    texts = [run([*p, "-sS", "-A", "same/1"], ["-o", "/dev/null", "-w", "%{json}", w.nginx.url("/hello.txt")], w.folder)[1]
             for p in ([CURL, "-q"], [w.aioduct])]
    curls, ours = [json.loads(t) for t in texts]
    for name in VALUES:
        equal(ours[name], curls[name], name)
    for name in curls:
        if name.startswith(("time_", "speed_")) and name not in NEWER:
            equal(type(ours[name] + 0.0), float, name)
    texts = [run([*p, "-sS", "-A", "same/1"], ["-o", "/dev/null", "-w", "%{header_json}", w.nginx.url("/hello.txt")], w.folder)[1]
             for p in ([CURL, "-q"], [w.aioduct])]
    curls, ours = [json.loads(t) for t in texts]
    curls.pop("date"), ours.pop("date")
    equal(ours, curls)
    assert got


@case
def exit_codes_are_the_same(w):
    with ClosedPort() as port:
        refused, good, missing = f"http://127.0.0.1:{port}/", w.nginx.url("/hello.txt"), w.nginx.url("/status/404")
        both(w, refused)
        both(w, "-o", "1", "-o", "2", refused, good)
        both(w, "-o", "1", "-o", "2", "--fail-early", refused, good)
        both(w, "-Z", "-f", "-o", "1", "-o", "2", good, good)
        if CURL_MAJOR == 7:  # later ones forget a failure that came before a success
            for urls in (refused, good), (good, refused), (missing, good), (good, missing):
                both(w, "-Z", "-f", "-o", "1", "-o", "2", *urls)
        for options in ("--limit-rate", "0"), ("-m", "0"), ("--max-filesize", "0"), ("--parallel-max", "0"), ("-y", "1"):
            both(w, *options, good)
    for args in (["http://name.invalid/"], ["ftp-x://a/"], ["http://a:99999/"], ["-f", w.nginx.url("/status/404")],
                 ["--fail-with-body", w.nginx.url("/status/404")], [w.nginx.url("/hello.txt", "tls")],
                 ["--cacert", w.ca, w.nginx.url("/hello.txt", "wrong")], ["-o", "/nonexistent/x", w.nginx.url("/hello.txt")],
                 ["--max-filesize", "5", w.nginx.url("/hello.txt")], ["-T", "/nonexistent", w.nginx.url("/x")],
                 ["--no-such-option", w.nginx.url("/")], ["-m", "x", w.nginx.url("/")], ["--interface", "no-such-if0", w.nginx.url("/")],
                 ["--resolve", "made.up:1:127.0.0.1", "--resolve", "made.up:1:127.0.0.2", "http://made.up:1/"]):
        both(w, *args)
    for answer in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", b"220 mail ESMTP\r\n",
                   b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"):
        with Peer(answers(answer)) as peer:
            both(w, peer.url())


@case
def deadlines_have_the_same_exit_code(w):
    def silence(connection, _):
        connection.recv(1)

    with Peer(silence) as peer:
        both(w, "-m", "0.3", peer.url())


@case
def requests_are_the_same(w):
    with open(w.path("fields"), "wb") as f:
        f.write(b"X-One: 1\nX-Two;\nAccept:\n")
    with open(w.path("data"), "wb") as f:
        f.write(b"line\r\nfeed\n")
    url = "http://127.0.0.1:PORT/p?q"
    for args in ([url], ["-I", url], ["-X", "DELETE", url], ["-e", "http://r/", url], ["-u", "me:pw", url],
                 ["-H", "X-A: 1", "-H", "Accept:", url], ["-H", "X-B;", url], ["-H", "@" + w.path("fields"), url],
                 ["-H", "Host: other", url], ["-d", "a", "-d", "b", url], ["-d", "@" + w.path("data"), url],
                 ["--data-binary", "@" + w.path("data"), url], ["--data-raw", "@x", url], ["-d", "", url],
                 ["-H", "Content-Type: text/plain", "-d", "x", url], ["-T", w.path("data"), "-H", "Expect:", url],
                 ["-T", w.path("data"), "-H", "Expect:", "http://127.0.0.1:PORT/dir/"],
                 ["-d", "small", "-H", "Expect: 100-continue", "--expect100-timeout", "0.1", url],
                 ["-u", "a:b", "-H", "Authorization: own", url], ["http://me:p%40@127.0.0.1:PORT/"], ["-A", "", url],
                 ["127.0.0.1:PORT/x#frag"], ["--url", url, "http://127.0.0.1:PORT/2"]):
        same_requests(w, *args)
    same_requests(w, "-T", "-", "-H", "Expect:", url, stdin=b"from a pipe")


@case
def i_and_D_write_the_same_heads(w):
    for options in (("-i",), ("-D", "heads"), ("-D", "-"), ("-i", "-D", "heads"), ("-I",)):
        with Peer(answers(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK)) as peer:
            both(w, *options, peer.url())


@case
def traces_say_the_same_of_the_wire(w):
    texts = []
    for program in ([CURL, "-q"], [w.aioduct]):
        with Peer(answers(OK)) as peer:
            run([*program, "-sS", "-A", "same/1"], ["--trace", w.path("t"), "-o", "/dev/null", "-d", "abc", peer.url()], w.folder)
        with open(w.path("t"), encoding="latin-1") as f:
            text = f.read()
        titles = re.findall(r"(?m)^(=>|<=) (\S+ \S+), (\d+) bytes \((0x[0-9a-f]+)\)$", text)
        first = re.search(r"<= Recv data.*\n(.*)\n", text).group(1).rstrip()
        texts.append((sorted(t for t in titles if t[1] != "Send header"), first))
    equal(texts[1], texts[0])


if CURL is None:
    print("1..0 # SKIP there is no curl to compare with")
    sys.exit(0)
sys.exit(main())

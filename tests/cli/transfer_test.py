#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The transfer command, on the runtime that AIODUCT_RUNTIME names: options, output, exit codes, bad input."""
import hashlib
import os
import pty
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import time

from harness import ClosedPort, Peer, Skip, answers, case, equal, main, matches

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def header(text, name):
    for line in text.decode().split("\r\n"):
        if line.lower().startswith(name.lower() + ":"):
            return line.split(":", 1)[1].strip()
    return None


# ---- output ----


@case
def a_body_goes_to_standard_output(w):
    equal(w.ok(w.nginx.url("/hello.txt")), b"hello, world\n")
    equal(w.ok("--cacert", w.ca, w.nginx.url("/hello.txt", "tls")), b"hello, world\n")


@case
def gnutls_begins_for_https_and_not_for_http(w):
    talks = {"GNUTLS_DEBUG_LEVEL": "2"}
    status, out, err = w.run("-sS", w.nginx.url("/hello.txt"), env=talks)
    equal((status, out, err), (0, b"hello, world\n", ""))
    status, out, err = w.run("-sS", "--cacert", w.ca, w.nginx.url("/hello.txt", "tls"), env=talks)
    equal((status, out), (0, b"hello, world\n"))
    matches(err, "^gnutls.*: Enabled GnuTLS")


@case
def o_writes_a_file_and_O_names_it_after_the_url(w):
    w.ok("-o", w.path("a.out"), w.nginx.url("/hello.txt"))
    with open(w.path("a.out"), "rb") as f:
        equal(f.read(), b"hello, world\n")
    subprocess.run([w.aioduct, "-sSO", w.nginx.url("/hello.txt?x=1#y")], cwd=w.folder, check=True)
    with open(w.path("hello.txt"), "rb") as f:
        equal(f.read(), b"hello, world\n")


@case
def O_without_a_name_in_the_url_is_an_error_that_says_what_to_do(w):
    _, err = w.fails(23, "-O", w.nginx.url("/"))
    matches(err, "-o FILE")
    _, err = w.fails(23, "-O", w.nginx.url("/x/.."))
    matches(err, "no file name")


@case
def i_prints_the_head_before_the_body_and_I_the_head_alone(w):
    out = w.ok("-i", w.nginx.url("/hello.txt"))
    matches(out.decode(), r"^HTTP/1\.1 200 OK\r\n.*\r\n\r\nhello, world\n$")
    out = w.ok("-I", w.nginx.url("/hello.txt"))
    matches(out.decode(), r"^HTTP/1\.1 200 OK\r\n.*Content-Length: 13\r\n.*\r\n\r\n$")


@case
def I_prints_the_head_alone_whatever_the_method(w):
    out = w.ok("-I", "-X", "GET", "-w", "%{exitcode}%{errormsg}", w.nginx.url("/hello.txt"))
    matches(out.decode(), r"^HTTP/1\.1 200 OK\r\n.*Content-Length: 13\r\n.*\r\n\r\n0$")


@case
def D_writes_the_heads_to_a_file(w):
    equal(w.ok("-D", w.path("heads"), w.nginx.url("/hello.txt")), b"hello, world\n")
    with open(w.path("heads"), "rb") as f:
        matches(f.read().decode(), r"^HTTP/1\.1 200 OK\r\n.*\r\n\r\n$")


@case
def D_gathers_the_heads_of_all_transfers(w):
    for _ in range(2):  # anew each time
        w.ok("-D", w.path("all"), w.nginx.url("/hello.txt"), w.nginx.url("/status/404"))
        with open(w.path("all"), "rb") as f:
            text = f.read().decode()
        matches(text, r"^HTTP/1\.1 200 OK\r\n.*\r\n\r\nHTTP/1\.1 404 .*\r\n\r\n$")
        equal(text.count("HTTP/1.1 "), 2)


@case
def w_reads_its_format_from_a_file_or_standard_input(w):
    with open(w.path("format"), "wb") as f:
        f.write(b"%{http_code}\n")
    equal(w.ok("-w", "@" + w.path("format"), w.nginx.url("/hello.txt")), b"hello, world\n200")
    equal(w.ok("-w", "@-", w.nginx.url("/hello.txt"), stdin=b"[%{http_code}]"), b"hello, world\n[200]")
    w.fails(26, "-w", "@" + w.path("missing"), w.nginx.url("/hello.txt"))


@case
def a_query_may_hold_a_url_when_the_scheme_is_missing(w):
    with Peer(answers(OK)) as peer:
        equal(w.ok(f"127.0.0.1:{peer.port}/x?u=http://y/"), b"hello")
        matches(peer.requests[0].decode(), r"^GET /x\?u=http://y/ HTTP/1\.1\r\n")


@case
def w_prints_variables_after_the_transfer(w):
    out = w.ok("-o", "/dev/null", "-w", r"%{http_code} %{size_download} %{http_version} %{runtime}%%\n",
               w.nginx.url("/hello.txt"))
    equal(out.decode().split()[:3], ["200", "13", "1.1"])
    runtime = os.environ.get("AIODUCT_RUNTIME")
    if runtime:
        equal(out.decode().split()[3], runtime + "%")
    out = w.ok("-s", "-o", "/dev/null", "--cacert", w.ca, "-w",
               "%{time_namelookup} %{time_connect} %{time_appconnect} %{time_starttransfer} %{time_total}",
               w.nginx.url("/hello.txt", "tls"))
    times = [float(t) for t in out.split()]
    equal(times, sorted(times), "times in the order of phases")
    assert 0 < times[2] <= times[4], times


@case
def several_urls_share_a_connection_and_each_has_its_output(w):
    out = w.ok("-o", w.path("1"), "-o", w.path("2"), "-w", "%{num_connects} ", w.nginx.url("/hello.txt"),
               w.nginx.url("/echo"))
    equal(out.split(), [b"1", b"0"])
    with open(w.path("2"), "rb") as f:
        equal(f.read(), b"echo\n")


@case
def s_is_silent_and_S_is_not(w):
    with ClosedPort() as port:
        url = f"http://127.0.0.1:{port}/"
        equal(w.fails(7, "-s", url)[1], "")
        matches(w.fails(7, "-sS", url)[1], "Connection refused")


@case
def v_shows_heads_and_hides_secrets(w):
    _, _, err = w.run("-v", "-u", "me:secret", "-H", "Cookie: a=b", w.nginx.url("/hello.txt"))
    matches(err, r"> GET /hello\.txt HTTP/1\.1\n.*> Host: localhost:\d+\n")
    matches(err, r"< HTTP/1\.1 200 OK\n")
    matches(err, r"> Authorization: \[hidden\]\n")
    assert "bWU6c2VjcmV0" not in err and "a=b" not in err, err
    _, _, err = w.run("-v", "--show-secrets", "-u", "me:secret", w.nginx.url("/hello.txt"))
    matches(err, "> Authorization: Basic bWU6c2VjcmV0\n")


@case
def v_escapes_control_bytes_of_the_server(w):
    with Peer(answers(b"HTTP/1.1 200 \x1b[31mOK\r\nContent-Length: 0\r\n\r\n")) as peer:
        code, _, err = w.run("-v", peer.url())
        assert "\x1b" not in err, err
        assert code in (0, 8), (code, err)
    with Peer(answers("HTTP/1.1 200 OK\r\nX-A: \u009b31m \u00fc\r\nContent-Length: 0\r\n\r\n".encode())) as peer:
        err = w.run("-v", peer.url())[2]
        matches(err, r"< X-A: \\xc2\\x9b31m \u00fc\n")


@case
def a_closed_pipe_is_a_write_error(w):
    w.nginx.write("big.bin", os.urandom(1 << 20))
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([w.aioduct, w.nginx.url("/big.bin")], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    equal(done.returncode, 23, done.stderr)
    matches(done.stderr.decode(), "cannot write standard output")


@case
def a_file_that_cannot_be_written_is_a_write_error_that_names_it(w):
    _, err = w.fails(23, "-o", "/nonexistent/file", w.nginx.url("/hello.txt"))
    matches(err, "/nonexistent/file: No such file")


# ---- requests ----


@case
def headers_are_added_removed_and_sent_empty(w):
    out = w.ok("-i", "-H", "X-One: 1", "-A", "me/1", "-e", "http://a/", w.nginx.url("/echo"))
    equal([header(out, n) for n in ("X-One", "X-UA", "X-Ref", "X-Accept")], ["[1]", "me/1", "http://a/", "[*/*]"])
    out = w.ok("-i", "-H", "X-One;", "-H", "Accept:", w.nginx.url("/echo"))
    equal([header(out, n) for n in ("X-One", "X-Accept")], ["[]", "[]"])
    with Peer(answers(OK)) as peer:
        w.ok("-H", "X-One;", "-A", "", peer.url("/p?q"))
        equal(peer.requests[0], f"GET /p?q HTTP/1.1\r\nHost: 127.0.0.1:{peer.port}\r\nAccept: */*\r\n"
              "X-One: \r\n\r\n".encode())


@case
def H_stands_instead_of_what_A_e_u_and_the_url_would_say(w):
    with Peer(answers(OK)) as peer:
        w.ok("-A", "a", "-e", "r", "-u", "me:secret", "-H", "user-agent: h", "-H", "Referer: h",
             "-H", "Authorization: h", peer.url())
        w.ok("-H", "Authorization: h", peer.url().replace("http://", "http://me:secret@"))
        w.ok("-u", "me:secret", "-H", "Authorization:", "-e", "", peer.url())
        equal(re.findall(r"(?i)^(?:user-agent|referer|authorization): (.*)\r$", peer.requests[0].decode(), re.M),
              ["h", "h", "h"])
        equal(re.findall(r"(?m)^Authorization: (.*)\r$", peer.requests[1].decode()), ["h"])
        assert b"Authorization" not in peer.requests[2] and b"Referer" not in peer.requests[2]


@case
def d_posts_a_form_and_joins_its_parts(w):
    with open(w.path("form"), "wb") as f:
        f.write(b"line\r\none\n")
    with Peer(answers(OK)) as peer:
        w.ok("-d", "a=1", "-d", "@" + w.path("form"), peer.url())
        head, _, body = peer.requests[0].partition(b"\r\n\r\n")
        equal(body, b"a=1&lineone")
        matches(head.decode(), r"^POST / HTTP/1\.1\r\n.*Content-Type: application/x-www-form-urlencoded")
        w.ok("--data-binary", "@" + w.path("form"), "-H", "Content-Type: text/plain", "-X", "PATCH", peer.url())
        head, _, body = peer.requests[1].partition(b"\r\n\r\n")
        equal(body, b"line\r\none\n")
        matches(head.decode(), r"^PATCH / .*Content-Type: text/plain")
        assert b"urlencoded" not in head


@case
def each_T_belongs_to_one_url(w):
    for name in "one", "two":
        with open(w.path(name), "w", encoding="ascii") as f:
            f.write(name)
    with Peer(answers(OK)) as peer:
        w.ok("-T", w.path("one"), "-T", w.path("two"), peer.url("/a"), peer.url("/b"), peer.url("/c"))
        seen = [r.decode() for r in peer.requests]
        equal([(r.split(" HTTP")[0], r.partition("\r\n\r\n")[2]) for r in seen],
              [("PUT /a", "one"), ("PUT /b", "two"), ("GET /c", "")])


@case
def T_puts_a_file_with_its_length_and_a_pipe_in_chunks(w):
    data = os.urandom(300000)
    with open(w.path("up.bin"), "wb") as f:
        f.write(data)
    with Peer(answers(OK)) as peer:
        w.ok("-T", w.path("up.bin"), peer.url("/dir/"))
        head, _, body = peer.requests[0].partition(b"\r\n\r\n")
        matches(head.decode(), r"^PUT /dir/up\.bin .*Content-Length: 300000")
        equal(hashlib.sha256(body).hexdigest(), hashlib.sha256(data).hexdigest())
        w.ok("-T", "-", peer.url("/x"), stdin=b"from a pipe")
        matches(peer.requests[1].decode(), r"^PUT /x .*Transfer-Encoding: chunked.*from a pipe.*0\r\n\r\n$")


@case
def T_adds_the_name_of_the_file_where_the_url_has_none(w):
    name = "a b#c%?.txt"
    with open(w.path(name), "wb") as f:
        f.write(b"x")
    with Peer(answers(OK)) as peer:
        for path in ("/dir/", "", "/dir/?q=1", "?q=/", "/as"):
            w.ok("-T", w.path(name), peer.url(path))
        targets = [r.split(b" ", 2)[1].decode() for r in peer.requests]
        escaped = "a%20b%23c%25%3F.txt"
        equal(targets, ["/dir/" + escaped, "/" + escaped, f"/dir/{escaped}?q=1", f"/{escaped}?q=/", "/as"])


@case
def T_sends_what_was_announced_when_more_can_be_read(w):
    with Peer(answers(OK)) as peer:
        equal(w.ok("-T", "/proc/version", peer.url("/x")), b"hello")  # says that it is empty
        matches(peer.requests[0].decode(), r"Content-Length: 0\r\n\r\n$")


@case
def T_sends_a_file_again_from_its_start(w):
    data = os.urandom(300000)
    with open(w.path("again.bin"), "wb") as f:
        f.write(data)

    def refuse_first(connection, request):
        """The first is told that it cannot be expected to be taken."""
        expects = b"\r\nExpect: 100-continue\r\n" in request
        connection.sendall(b"HTTP/1.1 417 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" if expects else OK)

    with Peer(refuse_first) as peer:  # it reads the body, which is sent without its leave
        equal(w.ok("-H", "Expect: 100-continue", "--expect100-timeout", "0.1", "-T", w.path("again.bin"),
                   peer.url("/x"), "-w", " %{http_code} %{size_upload}"), b"hello 200 300000")
        bodies = [r.partition(b"\r\n\r\n")[2] for r in peer.requests]
        equal([hashlib.sha256(b).hexdigest() for b in bodies], [hashlib.sha256(data).hexdigest()] * 2)


@case
def T_of_a_file_that_became_shorter_is_exit_26(w):
    for options in [], ["-v"]:  # handed on, and read
        with open(w.path("shrinks"), "wb") as f:
            f.write(b"x" * 3000000)

        def shorten(connection, _):
            os.truncate(w.path("shrinks"), 1000000)
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            while connection.recv(65536):
                pass

        # the head announces what never comes: it is taken as it is, up to its end
        with Peer(shorten, read=False) as peer:
            _, err = w.fails(26, *options, "--expect100-timeout", "60", "-T", w.path("shrinks"), peer.url("/x"))
            matches(err, r"aioduct: \(26\) the body source gave fewer than the 3000000 bytes declared")


@case
def a_body_that_contradicts_a_header_is_exit_2(w):
    with Peer(answers(OK)) as peer:
        _, err = w.fails(2, "-d", "abc", "-H", "Content-Length: 4", peer.url())
        matches(err, "Content-Length")
        equal(peer.requests, [])


@case
def u_sends_basic_credentials_and_so_does_the_url(w):
    equal(header(w.ok("-i", "-u", "me:pass:word", w.nginx.url("/echo")), "X-Auth"), "Basic bWU6cGFzczp3b3Jk")
    url = w.nginx.url("/echo").replace("http://", "http://me:p%40ss@")
    equal(header(w.ok("-i", url), "X-Auth"), "Basic bWU6cEBzcw==")


@case
def resolve_and_connect_to_change_where_is_dialled_and_not_what_is_asked(w):
    port = w.nginx.ports["plain"]
    out = w.ok("-i", "--resolve", f"made.up:{port}:127.0.0.1", f"http://made.up:{port}/echo")
    equal(header(out, "X-Host"), f"made.up:{port}")
    out = w.ok("-i", "--connect-to", f"made.up:80:127.0.0.1:{port}", "http://made.up/echo")
    equal(header(out, "X-Host"), "made.up")


@case
def interface_and_family_choose_the_way(w):
    out = w.ok("-o", "/dev/null", "-w", "%{local_ip}", "--interface", "127.0.0.2", w.nginx.url("/echo").replace("localhost", "127.0.0.1"))
    equal(out, b"127.0.0.2")
    out = w.ok("-4", "-o", "/dev/null", "-w", "%{remote_ip}", w.nginx.url("/echo"))
    equal(out, b"127.0.0.1")
    _, err = w.fails(45, "--interface", "no-such-if0", w.nginx.url("/echo"))
    matches(err, "no-such-if0|device")


# ---- TLS ----


def on_a_terminal(w, typed, *args):
    """Run with a terminal of its own, on which @typed is typed when a password is asked for. -> exit code, what it showed"""
    pid, fd = pty.fork()
    if pid == 0:
        try:
            os.execv(w.aioduct, [w.aioduct, *args])
        finally:
            os._exit(127)
    shown, told, end = b"", False, time.monotonic() + 30
    while time.monotonic() < end:
        if not told and shown.endswith(b"': "):
            os.write(fd, typed)
            told = True
        if not select.select([fd], [], [], 0.1)[0]:
            continue
        try:
            piece = os.read(fd, 4096)
        except OSError: # the terminal's last user is gone
            piece = b""
        if not piece:
            break
        shown += piece
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


@case
def a_password_is_asked_for_on_the_terminal(w):
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
    with Peer(answers(ok)) as peer:
        code, shown = on_a_terminal(w, b"s e:cret\n", "-u", "me", peer.url("/1"), peer.url("/2"))
        equal((code, shown), (0, b"Password for user 'me': \r\nok\r\nok\r\n")) # once, and not shown
        equal(len(peer.requests), 2)
        for request in peer.requests:
            matches(request.decode(), r"\r\nAuthorization: Basic bWU6cyBlOmNyZXQ=\r\n")
    with Peer(answers(ok)) as peer:
        equal(on_a_terminal(w, b"\n", "-u", "me", peer.url())[0], 0)
        matches(peer.requests[0].decode(), r"\r\nAuthorization: Basic bWU6\r\n")
        equal(on_a_terminal(w, b"", "-u", "me:", "-H", "X: y", peer.url()), (0, b"ok\r\n"))
        equal(on_a_terminal(w, b"", "-u", "me", "-H", "Authorization: Mine", peer.url()), (0, b"ok\r\n"))
    code, shown = on_a_terminal(w, b"\x04", "-u", "me", "http://localhost/")
    equal(code, 2)
    matches(shown.decode(), "-u me: no password was given")
    equal(on_a_terminal(w, b"sec\x03", "-u", "me", "http://localhost/")[0], -signal.SIGINT)
    done = subprocess.run([w.aioduct, "-u", "me", "http://localhost/"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, start_new_session=True, timeout=60, check=False)
    equal((done.returncode, done.stdout), (2, b""))
    matches(done.stderr.decode(), r"^aioduct: \(2\) -u me: no password, and no terminal to ask for it: write -u USER:PASSWORD\n$")


@case
def certificates_are_verified(w):
    _, err = w.fails(60, w.nginx.url("/hello.txt", "tls"))
    matches(err, "certificate")
    _, err = w.fails(60, "--cacert", w.ca, w.nginx.url("/hello.txt", "wrong"))
    matches(err, "(?i)name|localhost")
    equal(w.ok("-k", w.nginx.url("/hello.txt", "wrong")), b"hello, world\n")


@case
def a_client_certificate_is_sent_when_given(w):
    url = w.nginx.url("/hello.txt", "mutual")
    matches(w.ok("-i", "--cacert", w.ca, url).decode(), "400")
    equal(w.ok("--cacert", w.ca, "--cert", w.path("client.pem"), "--key", w.path("client.key"), url), b"hello, world\n")


@case
def files_that_are_no_certificates_are_named(w):
    _, err = w.fails(77, "--cacert", "/nonexistent.pem", w.nginx.url("/", "tls"))
    matches(err, r"--cacert '/nonexistent\.pem': No such file or directory\n$")
    _, err = w.fails(77, "--cacert", w.folder, w.nginx.url("/", "tls"))
    matches(err, r"--cacert '.*': Is a directory\n$")
    _, err = w.fails(58, "--cacert", w.ca, "--cert", w.path("nginx.conf"), w.nginx.url("/", "tls"))
    matches(err, "--cert '.*nginx.conf'")


@case
def what_is_wrong_is_said_in_the_words_of_the_command(w):
    _, err = w.fails(60, w.nginx.url("/hello.txt", "tls"))
    matches(err, "hint: .*--cacert")
    assert "ca_file" not in err, err
    _, err = w.fails(77, "--cacert", "/ca_file", "http://localhost/")
    matches(err, "--cacert '/ca_file'")
    for option, value in ("--resolve", "x"), ("--connect-to", "x"):
        matches(w.fails(2, option, value, "http://localhost/")[1], f"^aioduct: \\(2\\) {option}: 'x' is not of the form ")
    matches(w.fails(2, "--runtime", "nonesuch", "http://localhost/")[1], r"\(2\) --runtime: runtime 'nonesuch' not found")
    with Peer(lambda connection, request: connection.recv(1)) as peer:
        matches(w.fails(28, "-m", "0.1", peer.url())[1], r"--max-time: 100 ms passed")


# ---- bad input, bad peers ----


@case
def a_bad_command_line_is_exit_2_and_says_which_option(w):
    for args, said in ((["--no-such"], "--no-such"), (["-Q", "x"], "-Q"), (["-o"], "-o"), (["-o", "", "http://a/"], "-o"), ([], "no URL"),
                       (["-m", "soon", "http://a/"], "-m"), (["-I", "-d", "x", "http://a/"], "-I")):
        _, err = w.fails(2, *args)
        matches(err, said)


@case
def w_is_printed_for_what_is_no_url_too(w):
    out, _ = w.fails(3, "-w", "%{http_code} %{exitcode} [%{scheme}%{remote_ip}]", "a b")
    equal(out, b"000 3 []")


@case
def a_bad_header_is_exit_2_and_nothing_is_sent(w):
    with Peer(answers(OK)) as peer:
        for bad in ("X-A: 1\r\nX-B: 2", "no colon", "X A: 1", ": 1", "Content-Length: 7"):
            _, err = w.fails(2, "-H", bad, peer.url())
            matches(err, "header refused|Content-Length")
        equal(peer.requests, [])


@case
def a_bad_url_is_exit_3_and_another_scheme_exit_1(w):
    for url in ("http://", "http://a:99999/", "http://a b/", "http://[::1/", "http://a\\b/"):
        w.fails(3, url)
    _, err = w.fails(1, "ftp://127.0.0.1/")
    matches(err, "ftp")


@case
def a_host_that_does_not_exist_is_exit_6_and_a_closed_port_exit_7(w):
    _, err = w.fails(6, "http://name.invalid/")
    matches(err, "name.invalid")
    with ClosedPort() as port:
        _, err = w.fails(7, f"http://127.0.0.1:{port}/")
    matches(err, f"{port}.*Connection refused")


@case
def garbage_instead_of_http_is_exit_1(w):
    with Peer(answers(b"220 mail.example ESMTP\r\n")) as peer:
        _, err = w.fails(1, peer.url())
        matches(err, "HTTP")


@case
def a_head_that_breaks_http_is_exit_8(w):
    with Peer(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")) as peer:
        w.fails(8, peer.url())


@case
def a_truncated_body_is_exit_18_and_what_came_is_kept(w):
    with Peer(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")) as peer:
        _, err = w.fails(18, "-o", w.path("part"), peer.url())
        matches(err, "10|early|truncated")
        with open(w.path("part"), "rb") as f:
            equal(f.read(), b"half of it")


@case
def an_empty_reply_is_exit_52(w):
    with Peer(answers(b"")) as peer:
        w.fails(52, peer.url())


@case
def ten_megabytes_of_headers_are_refused_in_flat_memory(w):
    def flood(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for i in range(10000):
            connection.sendall(b"X-%d: %s\r\n" % (i, b"a" * 1000))

    with Peer(flood) as peer:
        out, err = w.fails(56, "-o", w.path("flood"), peer.url())
        matches(err, "head_bytes_max|head_fields_max")
        equal(out, b"")
        assert not os.path.exists(w.path("flood"))


@case
def f_gives_22_without_output_and_without_f_the_page_is_shown(w):
    out, err = w.fails(22, "-f", w.nginx.url("/status/404"))
    equal(out, b"")
    matches(err, "404")
    equal(w.ok(w.nginx.url("/status/404")), b"gone\n")
    for option in "-i", "-I":
        out, _ = w.fails(22, "-f", option, w.nginx.url("/status/404"))
        matches(out.decode(), r"^HTTP/1\.1 404 .*\r\n\r\n$")
    out, err = w.fails(22, "-f", "-v", "-D", w.path("refused"), w.nginx.url("/status/404"))
    equal(out, b"")
    matches(err, "< HTTP/1.1 404")
    with open(w.path("refused"), "rb") as f:
        matches(f.read().decode(), "^HTTP/1.1 404 ")


@case
def a_flood_of_interim_answers_is_exit_56(w):
    with Peer(answers(b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + OK)) as peer:
        _, err = w.fails(56, peer.url())
        matches(err, "interim_max")


@case
def deadlines_are_exit_28_and_name_themselves(w):
    def silence(connection, _):
        connection.recv(1)

    with Peer(silence) as peer:
        began = time.monotonic()
        _, err = w.fails(28, "-m", "0.3", peer.url())
        assert 0.29 <= time.monotonic() - began < 10
        matches(err, "total_timeout_ms|0\\.3|300")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        fillers = []
        for _ in range(4):  # fill the backlog: the next SYN gets no answer
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
            fillers.append(s)
        time.sleep(0.05)
        w.fails(28, "--connect-timeout", "0.3", f"http://127.0.0.1:{port}/")
        for s in fillers:
            s.close()


# ---- size ----


@case
def a_large_body_streams_in_constant_memory(w):
    name = os.path.join(w.folder, "www", "large.bin")
    with open(name, "wb") as f:
        f.truncate(256 << 20)
    try:
        for which in ("plain", "tls"):
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            w.ok("--cacert", w.ca, "-o", w.path("large.out"), w.nginx.url("/large.bin", which))
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            equal(os.path.getsize(w.path("large.out")), 256 << 20)
            if os.environ.get("AIODUCT_TEST_SANITIZED"):
                raise Skip("a sanitizer's own memory hides ours")
            assert before > 32768 or peak < 32768, f"{peak} KiB"
    finally:
        os.unlink(name)
        if os.path.exists(w.path("large.out")):
            os.unlink(w.path("large.out"))


sys.exit(main())

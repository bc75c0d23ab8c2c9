# SPDX-License-Identifier: MIT
"""What the command's tests share: cases that print TAP, a real nginx, a peer that plays scripts, certificates."""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

CASES = []


def case(function):
    """A test; its name, with spaces, is the sentence that is printed."""
    CASES.append(function)
    return function


class Skip(Exception):
    """Raised in a case: skipped, for this reason."""


def run_cases(world):
    print(f"1..{len(CASES)}", flush=True)
    failed = 0
    for number, function in enumerate(CASES, 1):
        name = function.__name__.replace("_", " ")
        try:
            function(world)
            print(f"ok {number} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
    return 1 if failed else 0


def equal(got, expected, what=""):
    if got != expected:
        raise AssertionError(f"{what}: got {got!r}, expected {expected!r}")


def matches(text, pattern):
    if not re.search(pattern, text, re.S):
        raise AssertionError(f"no match for {pattern!r} in {text!r}")


class ClosedPort:
    """A port that refuses: bound, so that nobody else is given it meanwhile, but not listening."""

    def __enter__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        return self.socket.getsockname()[1]

    def __exit__(self, *_):
        self.socket.close()


# ---- certificates ----


def certtool(*args):
    subprocess.run(["certtool", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_certificates(folder):
    """ca, server (localhost, 127.0.0.1), client: NAME.pem and NAME.key."""
    path = lambda name: os.path.join(folder, name)  # noqa: E731

    def template(name, text):
        with open(path(name), "w", encoding="ascii") as f:
            f.write(text)
        return path(name)

    certtool("--generate-privkey", "--key-type=ecdsa", "--outfile", path("ca.key"))
    certtool("--generate-self-signed", "--load-privkey", path("ca.key"), "--outfile", path("ca.pem"),
             "--template", template("ca.cfg", "cn=test CA\nca\ncert_signing_key\nexpiration_days=9\n"))
    for name, text in (
        ("server", "cn=localhost\ndns_name=localhost\nip_address=127.0.0.1\ntls_www_server\n"),
        ("wrong", "cn=elsewhere.example\ndns_name=elsewhere.example\ntls_www_server\n"),
        ("client", "cn=client\ntls_www_client\n"),
    ):
        certtool("--generate-privkey", "--key-type=ecdsa", "--outfile", path(name + ".key"))
        certtool("--generate-certificate", "--load-privkey", path(name + ".key"),
                 "--load-ca-certificate", path("ca.pem"), "--load-ca-privkey", path("ca.key"),
                 "--template", template(name + ".cfg", text + "signing_key\nexpiration_days=9\n"),
                 "--outfile", path(name + ".pem"))


# ---- nginx ----


class Nginx:
    """Clear text, TLS, TLS with the wrong name, TLS that wants a client certificate, HTTP/2 on clear text and over TLS;
    files under www/."""

    CONFIG = """
daemon off; worker_processes 1; pid {d}/nginx.pid; error_log {d}/error.log;
events {{ }}
http {{
  access_log {d}/access.log; client_max_body_size 0;
  client_body_temp_path {d}/tmp/b; proxy_temp_path {d}/tmp/p; fastcgi_temp_path {d}/tmp/f;
  uwsgi_temp_path {d}/tmp/u; scgi_temp_path {d}/tmp/s;
  default_type text/plain; ssl_protocols TLSv1.2 TLSv1.3;
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl;
    listen 127.0.0.1:{h2c} http2; listen 127.0.0.1:{h2} ssl http2;
    ssl_certificate {d}/server.pem; ssl_certificate_key {d}/server.key;
    root {d}/www;
    location /echo {{
      add_header X-Method $request_method; add_header X-UA "$http_user_agent";
      add_header X-Ref "$http_referer"; add_header X-Auth "$http_authorization";
      add_header X-One "[$http_x_one]"; add_header X-Accept "[$http_accept]";
      add_header X-Host "$http_host";
      return 200 "echo\\n";
    }}
    location /status/404 {{ return 404 "gone\\n"; }}
  }}
  server {{ listen 127.0.0.1:{wrong} ssl;
    ssl_certificate {d}/wrong.pem; ssl_certificate_key {d}/wrong.key; root {d}/www; }}
  server {{ listen 127.0.0.1:{mutual} ssl;
    ssl_certificate {d}/server.pem; ssl_certificate_key {d}/server.key;
    ssl_client_certificate {d}/ca.pem; ssl_verify_client on; root {d}/www; }}
}}
"""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(os.path.join(folder, "www"), exist_ok=True)
        os.makedirs(os.path.join(folder, "tmp"), exist_ok=True)
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        # nginx takes over the sockets that the variable NGINX names, so no port is ever anybody's else.
        names = ("plain", "tls", "wrong", "mutual", "h2c", "h2")
        listeners = [socket.create_server(("127.0.0.1", 0), backlog=511) for _ in names]
        self.ports = {name: s.getsockname()[1] for name, s in zip(names, listeners)}
        for listener in listeners:
            listener.setblocking(False)
        fds = [s.fileno() for s in listeners]
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write(self.CONFIG.format(d=folder, **self.ports))
        self.process = subprocess.Popen(
            [program, "-p", folder, "-e", os.path.join(folder, "error.log"), "-c", config],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=fds,
            env={**os.environ, "NGINX": "".join(f"{fd};" for fd in fds)})
        for listener in listeners:
            listener.close()
        self._wait()

    def _wait(self):
        """The sockets listen already: this waits in their queue until nginx runs, and fails if it never does."""
        try:
            with socket.create_connection(("127.0.0.1", self.ports["plain"]), 30) as s:
                s.sendall(b"GET /hello.txt HTTP/1.0\r\n\r\n")
                if s.recv(1):
                    return
        except OSError:
            pass
        self.stop()
        with open(os.path.join(self.folder, "error.log"), encoding="utf-8") as f:
            raise RuntimeError("nginx did not start: " + f.read())

    def url(self, path, which="plain"):
        scheme = "http" if which in ("plain", "h2c") else "https"
        return f"{scheme}://localhost:{self.ports[which]}{path}"

    def write(self, name, data):
        with open(os.path.join(self.folder, "www", name), "wb") as f:
            f.write(data)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


# ---- a peer that plays a script ----


class Peer:
    """Accepts connections, one after the other or, if @parallel, at once; @play(connection, request_bytes) answers
    each; then it is closed."""

    def __init__(self, play, read=True, parallel=False):
        self.play, self.read, self.parallel, self.requests = play, read, parallel, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _request(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return data
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if length:
            while len(body) < int(length.group(1)):
                body += connection.recv(65536)
        elif re.search(rb"(?i)transfer-encoding: *chunked", head):
            while not body.endswith(b"0\r\n\r\n"):
                body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            if self.parallel:
                threading.Thread(target=self._play, args=(connection,), daemon=True).start()
            else:
                self._play(connection)

    def _play(self, connection):
        with connection:
            try:
                request = self._request(connection) if self.read else b""
                self.requests.append(request)
                self.play(connection, request)
            except OSError:
                pass

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # ends accept, which would go on with the number's next socket
        self.thread.join(10)
        self.listener.close()


def answers(data):
    return lambda connection, request: connection.sendall(data)


# ---- the command ----


class World:
    def __init__(self, aioduct):
        self.aioduct = os.path.abspath(aioduct)
        self.folder = tempfile.mkdtemp(prefix="aioduct-cli-")
        os.chmod(self.folder, 0o755)
        make_certificates(self.folder)
        self.nginx = Nginx(self.folder)
        self.nginx.write("hello.txt", b"hello, world\n")
        self.ca = os.path.join(self.folder, "ca.pem")

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *args, stdin=None, env=None, timeout=60):
        environment = dict(os.environ)
        environment.update(env or {})
        environment = {k: v for k, v in environment.items() if v is not None}
        done = subprocess.run([self.aioduct, *args], input=stdin, env=environment, timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")

    def ok(self, *args, **kwargs):
        code, out, err = self.run(*args, **kwargs)
        equal(code, 0, f"exit code of {args}, which said {err!r}")
        return out

    def fails(self, expected, *args, **kwargs):
        code, out, err = self.run(*args, **kwargs)
        equal(code, expected, f"exit code of {args}, which said {err!r}")
        return out, err

    def close(self):
        self.nginx.stop()
        shutil.rmtree(self.folder)


def main():
    world = World(sys.argv[1])
    try:
        return run_cases(world)
    finally:
        world.close()

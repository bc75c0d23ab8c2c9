# SPDX-License-Identifier: MIT
"""What is measured. A scenario starts its server and names its contenders; the first named is the
reference, 1.00. Its targets say what aioduct is to reach."""
import contextlib
import tempfile

from contenders import (Contender, Counted, curl, curls, h2load, ours, read_h2load, read_json, read_wrk,
                        wrk)

BEST_LIBCURL = 'best libcurl'
BEST_RUNTIME = 'best runtime'


class Target:
    """At most so much of another contender's figure; @of None: the figure itself."""

    def __init__(self, at_most, of=None, runtime=None):
        self.at_most, self.of = at_most, of
        self.runtime = runtime  # of one only; None: of each


EVERY_RUNTIME = Target(1.15, BEST_RUNTIME)


class Scenario:
    """Requests of one shape; subclasses say how the contenders are called."""
    figure = 'us/request'
    rounds_max = 1000

    def __init__(self, name, title, targets=()):
        self.name = name
        self.title = title
        self.targets = [*targets, EVERY_RUNTIME]

    @staticmethod
    def value(figures):
        """CPU microseconds a request, from one run."""
        return figures['cpu'] / figures['requests'] * 1e6

    @staticmethod
    def note(figures):
        """What the reader must know of a run; None: nothing."""
        del figures


def url_of(port, tls, host='127.0.0.1', path='/'):
    return f'{"https" if tls else "http"}://{host}:{port}{path}'


def protocol_options(bench, tls, h2=False):
    """Of aioduct-load and curl-load."""
    return [('-2' if tls else '-H') if h2 else '-1'] + (['-k', bench.ca] if tls else [])


class KeepAlive(Scenario):
    """HTTP/1.1, each connection asks again and again."""

    def __init__(self, connections, tls):
        kind = 'tls' if tls else 'clear'
        one = connections == 1
        targets = []
        if one and not tls:
            targets = [Target(1.00, 'wrk')]
        elif not one and connections <= 256:
            targets = [Target(0.85, 'wrk')] + ([] if tls else [Target(0.35, BEST_LIBCURL)])
        if not one and not tls:
            targets.append(Target(1.00, 'aioduct epoll', 'uring'))
        title = f'HTTP/1.1 {kind}, {connections} connection{"" if one else "s"}'
        super().__init__(f'h1-{kind}-{connections}', title + (', server spins' if one else ''), targets)
        self.connections, self.tls = connections, tls
        self.requests = 12000 if one else 30000 if tls else 40000

    @contextlib.contextmanager
    def start(self, bench):
        # One connection: a server that sleeps adds its wake-ups to what the client's send costs.
        with bench.server(*(['-S'] if self.connections == 1 else []), tls=self.tls) as port:
            url = url_of(port, self.tls)
            requests = max(bench.count(self.requests), self.connections)
            common = ['-c', self.connections, *protocol_options(bench, self.tls), url]
            yield [
                wrk(self.connections, url, 2 if self.tls and self.connections > 64 else 1),  # handshakes first
                h2load(requests, self.connections, 1, url, h1=True),
                *curls(bench, '-n', max(requests // 2, self.connections), *common),
                *ours(bench, '-n', requests, *common),
            ]


class Streams(Scenario):
    """HTTP/2, many streams on one connection."""

    def __init__(self, streams, tls):
        kind = 'tls' if tls else 'clear'
        targets = {10: [Target(0.90, 'h2load')],
                   100: [Target(1.00, 'h2load'), Target(1 / 15, BEST_LIBCURL)]}.get(streams, [])
        title = f'HTTP/2 {kind}, {streams} stream{"" if streams == 1 else "s"} on one connection'
        super().__init__(f'h2-{kind}-{streams}', title + (', server spins' if streams == 1 else ''), targets)
        self.streams, self.tls = streams, tls
        self.requests, self.curl_part = {1: (12000, 1), 10: (40000, 4)}.get(streams, (150000, 15))

    @contextlib.contextmanager
    def start(self, bench):
        with bench.server(*(['-S'] if self.streams == 1 else []), tls=self.tls, h2=True) as port:
            url = url_of(port, self.tls)
            requests = bench.count(self.requests)
            common = ['-c', self.streams, *protocol_options(bench, self.tls, True), url]
            yield [
                h2load(requests, 1, self.streams, url),
                *curls(bench, '-n', max(requests // self.curl_part, 1), *common),
                *ours(bench, '-n', requests, *common),
            ]


class StreamsFloor(Scenario):
    """The same on clear text beside a bare loop: what the codec and the engine add to the system calls."""

    def __init__(self, streams):
        super().__init__(f'h2-floor-{streams}',
                         f'HTTP/2 clear, {streams} streams on one connection, beside a bare loop')
        self.targets = []  # they stand where h2load is the reference
        self.streams = streams
        self.requests = 40000 if streams == 10 else 150000

    @contextlib.contextmanager
    def start(self, bench):
        with bench.server(h2=True) as port:
            url = url_of(port, False)
            requests = bench.count(self.requests)
            yield [
                Contender('bare HTTP/2', [bench.program('bare-h2'), '-n', requests, '-m', self.streams, port], read_json),
                h2load(requests, 1, self.streams, url),
                *ours(bench, '-n', requests, '-c', self.streams, *protocol_options(bench, False, True), url),
            ]


class Nginx(Scenario):
    """The same against nginx, which cuts its answers as servers do."""

    def __init__(self, tls, h2):
        kind = f'{"h2" if h2 else "h1"}-{"tls" if tls else "clear"}'
        what = '100 streams on one connection' if h2 else '64 connections'
        super().__init__(f'nginx-{kind}',
                         f'nginx, HTTP/{2 if h2 else 1.1} {"tls" if tls else "clear"}, {what}')
        self.tls, self.h2 = tls, h2

    @contextlib.contextmanager
    def start(self, bench):
        with bench.nginx(tls=self.tls, h2=self.h2) as port:
            url = url_of(port, self.tls)
            requests = bench.count(60000 if self.h2 else 25000)
            common = ['-c', 100 if self.h2 else 64, *protocol_options(bench, self.tls, self.h2), url]
            yield [
                h2load(requests, 1, 100, url) if self.h2 else wrk(64, url),
                *[curl(bench, 'OpenSSL', how, '-n', max(requests // (5 if self.h2 else 2), 1), *common)
                  for how in ('sockets', 'poll')],
                *ours(bench, '-n', requests, *common),
            ]


class Mixed(Scenario):
    """Answers of four sizes, in turn on each connection: 100 bytes, 1 KiB, 10 KiB, 100 KiB."""

    def __init__(self, h2):
        super().__init__(f'mixed-{"h2" if h2 else "h1"}',
                         f'100 B, 1, 10 and 100 KiB in turn, HTTP/{2 if h2 else 1.1} clear, '
                         f'{"64 streams on one connection" if h2 else "64 connections"}')
        self.h2 = h2

    @contextlib.contextmanager
    def start(self, bench):
        with bench.server('-m', h2=self.h2) as port:
            url = url_of(port, False)
            requests = bench.count(24000)
            common = ['-c', 64, *protocol_options(bench, False, self.h2), url]
            peers = [h2load(requests, 1, 64, url)] if self.h2 else [
                wrk(64, url), h2load(requests, 64, 1, url, h1=True)]
            yield [
                *peers,
                *[curl(bench, 'OpenSSL', how, '-n', max(requests // 2, 64), *common) for how in ('sockets', 'poll')],
                *ours(bench, '-n', requests, *common),
            ]


class Fresh(Scenario):
    """A connection for each request."""

    def __init__(self):
        super().__init__('fresh', 'HTTP/1.1 clear, a connection for each request, 16 at a time',
                         [Target(1.25, 'bare epoll')])

    @contextlib.contextmanager
    def start(self, bench):
        with bench.server() as port:
            requests = bench.count(12000)
            common = ['-c', 16, '-1', '-f', url_of(port, False)]
            yield [
                Contender('bare epoll', [bench.program('bare-epoll'), '-n', requests, '-c', 16, port], read_json),
                *curls(bench, '-n', max(requests // 3, 1), *common),
                *ours(bench, '-n', requests, *common),
            ]


class Handshake(Scenario):
    """Connect, handshake, one GET, close."""

    def __init__(self, resumed):
        self.resumed = resumed
        super().__init__(f'handshake-{"resumed" if resumed else "full"}',
                         f'TLS 1.3 handshake {"resumed" if resumed else "in full"}, one GET, close, 16 at a time',
                         [Target(1.10, 'bare GnuTLS')])

    def note(self, figures):
        part = figures.get('resumed', 0) / figures['requests']
        return f'{part:.0%} resumed' if self.resumed and 'resumed' in figures and part < 0.9 else None

    @contextlib.contextmanager
    def start(self, bench):
        # Whether sessions can be resumed is the server's to say, so that all do the same.
        with bench.server(*([] if self.resumed else ['-T']), tls=True) as port:
            requests = bench.count(900 if self.resumed else 400)
            bare = [bench.program('bare-gnutls'), '-n', requests, '-c', 16, '-k', bench.ca]
            common = ['-n', requests, '-c', 16, '-f', *protocol_options(bench, True), url_of(port, True)]
            yield [
                Contender('bare GnuTLS', [*bare, *(['-r'] if self.resumed else []), port], read_json),
                *curls(bench, *common),
                *ours(bench, *common),
            ]


class Bulk(Scenario):
    """One large body. The reference is libcurl as it is; with buffers of 512 KiB it does better."""
    figure = 'us/MiB'
    BYTES = 1 << 30

    def __init__(self, up, tls, h2, file=False):
        self.up, self.tls, self.h2, self.file = up, tls, h2, file
        at_most = {(False, False): 0.55, (True, False): 0.92, (False, True): 0.50}.get((tls, h2))
        kind = f'{"h2" if h2 else "h1"}-{"tls" if tls else "clear"}'
        # nginx's small frames on clear text wait for one another's acknowledgement, and the client for them.
        self.of_nginx = not up and (tls or not h2)
        super().__init__(f'{"upload" if up else "download"}-{kind}{"-file" if file else ""}',
                         f'1 GiB {"up" if up else "down"}{", from nginx" if self.of_nginx else ""}'
                         f'{", of a file" if file else ""}, '
                         f'HTTP/{2 if h2 else 1.1} {"tls" if tls else "clear"}',
                         [Target(at_most, 'libcurl default')] if at_most and not up else [])

    @staticmethod
    def value(figures):
        return figures['cpu'] / (figures['body_bytes'] / (1 << 20)) * 1e6

    @contextlib.contextmanager
    def start(self, bench):
        size = bench.count(self.BYTES)
        with contextlib.ExitStack() as stack:
            # Of pages that are in memory, as nginx's is; libcurl reads it, as its users do.
            file = stack.enter_context(tempfile.NamedTemporaryFile()) if self.file else None
            for _ in range((size >> 20) + 1 if self.file else 0):
                file.write(b'x' * (1 << 20))
            port = stack.enter_context(bench.nginx(tls=self.tls, h2=self.h2) if self.of_nginx else
                                       bench.server(tls=self.tls, h2=self.h2, body=100 if self.up else size))
            common = ['-n', 1, '-c', 1, *protocol_options(bench, self.tls, self.h2)]
            common += ['-u', size] if self.up else []
            common += ['-U', file.name] if self.file else []
            common.append(url_of(port, self.tls, path='/' if self.up else '/big'))
            peers = [curl(bench, 'OpenSSL', 'sockets', *common, name='libcurl default'),
                     curl(bench, 'OpenSSL', 'sockets', '-b', 512 * 1024, *common, name='libcurl 512 KiB')]
            if self.tls:
                peers.append(curl(bench, 'GnuTLS', 'sockets', '-b', 512 * 1024, *common,
                                  name='libcurl GnuTLS 512 KiB'))
            yield [*peers, *ours(bench, *common)]


class Idle(Scenario):
    """What an idle connection costs in user-space memory. No reference: bytes, not ratios."""
    figure = 'bytes each'

    def __init__(self, kind, targets=()):
        self.connections = 1000 if 'tls' in kind else 10000  # a handshake takes its time
        super().__init__(f'idle-{kind}', f'{self.connections} idle connections, {kind}', targets)
        self.kind = kind

    @staticmethod
    def value(figures):
        return figures['bytes_each']

    @contextlib.contextmanager
    def start(self, bench):
        tls, h2 = 'tls' in self.kind, 'h2' in self.kind
        with bench.server(tls=tls, h2=h2) as port:
            # What all share is spread over them: as many in a short run, but for the very shortest.
            connections = self.connections if bench.scale >= 0.1 else bench.count(self.connections)

            def read(text):
                figures = read_json(text)
                if figures['idle'] < connections:
                    raise ValueError(f'{figures["idle"]} of {connections} are idle')
                return figures
            contenders = ours(bench, '-i', '-c', connections, *protocol_options(bench, tls, h2),
                              url_of(port, tls, 'bench.test'))
            for contender in contenders:
                contender.read = read
            yield contenders


class Start(Scenario):
    """From before the exec to the first byte of the answer, aioduct against curl."""

    def __init__(self, wall):
        self.wall = wall
        self.figure = 'us to the first byte' if wall else 'us CPU a start'
        super().__init__(f'start-{"wall" if wall else "cpu"}',
                         f'start of the command, one GET: {"time until the first byte" if wall else "CPU"}',
                         [Target(0.50, 'curl')])

    def value(self, figures):
        return figures['first_byte'] * 1e6 if self.wall else figures['cpu'] / figures['requests'] * 1e6

    @contextlib.contextmanager
    def start(self, bench):
        with bench.server() as port:
            url = url_of(port, False)
            often = [bench.program('bench-startup'), '-n', bench.count(40)]
            yield [
                Contender('curl', [*often, 'curl', '-q', '-s', url], read_json),
                *[Contender(f'aioduct {runtime}', [*often, bench.tool(), url], read_json, runtime)
                  for runtime in bench.runtimes],
            ]


class Workers(Scenario):
    """Does a second loop cost CPU? One against two worker loops at the same total concurrency.

    With the client on a core of its own, both loops' work is all that is counted. On all cores the
    second loop and the server share one: what that costs any client is what wrk shows beside it.
    """

    def __init__(self, kind, all_cores):
        where = 'all cores' if all_cores else 'one core'
        super().__init__(f'workers-{"all-" if all_cores else ""}{kind}',
                         f'one and two worker loops on {where}, 64 at once, {kind}')
        self.targets = []  # of one runtime against itself
        self.kind, self.all_cores = kind, all_cores

    def pair(self, name, command, read, runtime=None, start=None):
        """One loop, and two against it. @command: of the number of loops."""
        return [Contender(f'{name} x{loops}', command(loops), read, runtime, self.all_cores, f'{name} x1', start)
                for loops in (1, 2)]

    @contextlib.contextmanager
    def start(self, bench):
        h2 = self.kind == 'h2'
        with bench.server(h2=h2) as port:
            url = url_of(port, False)
            requests = bench.count(120000 if h2 else 40000)
            contenders = []
            if not h2:
                contenders += self.pair('wrk', lambda loops: ['wrk', f'-t{loops}', '-c64', '-d1', url], read_wrk,
                                        start=['wrk', '-v'])
            for runtime in bench.runtimes:
                contenders += self.pair(
                    f'aioduct {runtime}',
                    lambda loops: [bench.program('aioduct-load'), '-w', loops, '-n', requests, '-c', 64,
                                   '-H' if h2 else '-1', url], read_json, runtime)
            yield contenders


class Instructions(Scenario):
    """User instructions a warm request. Exact: one round."""
    figure = 'instructions/request'
    rounds_max = 1

    def __init__(self, kind, at_most):
        what = {'h1': 'HTTP/1.1 clear, 16 connections', 'h1-tls': 'HTTP/1.1 tls, 16 connections',
                'h2': 'HTTP/2 clear, 100 streams on one connection'}[kind]
        super().__init__(f'instructions-{kind}', f'{what}: user instructions', [Target(at_most)])
        self.kind = kind

    @staticmethod
    def value(figures):
        return figures['instructions']

    @contextlib.contextmanager
    def start(self, bench):
        tls, h2 = 'tls' in self.kind, 'h2' in self.kind
        with bench.server(tls=tls, h2=h2) as port:
            url = url_of(port, tls)
            requests = max(bench.count(600 if tls else 2000), 200)

            def counted(name, command, read, runtime=None):
                return Counted(name, command(requests), read, command(2 * requests), runtime)

            def h2load_command(many):
                return ['h2load', *(['-m', 100, '-c', 1] if h2 else ['--h1', '-c', 16]), '-n', many, url]

            def load(program, *options):
                return lambda many: [bench.program(program), '-n', many, '-c', 100 if h2 else 16, *options,
                                     *protocol_options(bench, tls, h2), url]
            # wrk knows seconds only; under callgrind the first pass with handshakes.
            wrks = [] if h2 else [Counted('wrk', ['wrk', '-t1', '-c16', '-d2', url], read_wrk,
                                          ['wrk', '-t1', '-c16', '-d6', url])]
            yield [
                *wrks,
                counted('h2load' if h2 else 'h2load --h1', h2load_command, read_h2load),
                counted('libcurl OpenSSL sockets', load('curl-load'), read_json),
                *[counted(f'aioduct {runtime}', load('aioduct-load'), read_json, runtime)
                  for runtime in bench.runtimes],
            ]


ALL = [
    *[KeepAlive(n, False) for n in (1, 16, 64, 256, 1024)],
    *[KeepAlive(n, True) for n in (1, 16, 64, 256)],
    *[Streams(n, tls) for tls in (False, True) for n in (1, 10, 100)],
    *[StreamsFloor(n) for n in (10, 100)],
    *[Nginx(tls, h2) for h2 in (False, True) for tls in (False, True)],
    Mixed(False), Mixed(True),
    Fresh(), Handshake(False), Handshake(True),
    *[Bulk(up, tls, h2) for up in (False, True) for h2 in (False, True) for tls in (False, True)],
    Bulk(True, False, False, file=True),
    Idle('h1-clear', [Target(512)]), Idle('h2-clear'), Idle('h1-tls'),
    Start(True), Start(False),
    *[Workers(kind, all_cores) for all_cores in (False, True) for kind in ('h1', 'h2')],
    Instructions('h1', 5000), Instructions('h1-tls', 12000), Instructions('h2', 10000),
]


def named(words):
    """Of each word the scenario of that name, or if there is none those that begin with it."""
    names = [s.name for s in ALL]
    return [s for s in ALL if any(s.name == w or (w not in names and s.name.startswith(w)) for w in words)]

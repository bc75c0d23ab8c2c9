# SPDX-License-Identifier: MIT
"""What is measured. A scenario starts its server and names its contenders; the first named is the
reference, 1.00."""
import contextlib
import json
import re
import shutil


class Contender:
    """A client program, and how to read what it prints."""

    def __init__(self, name, command, read, runtime=None, all_cores=False, reference=None):
        self.name = name
        self.reference = reference  # whose figure is 1.00; None: the first of the scenario
        self.command = [str(word) for word in command]
        self.read = read
        self.runtime = runtime
        self.all_cores = all_cores


def read_json(text):
    return json.loads(text.splitlines()[-1])


def read_wrk(text):
    return {'requests': int(re.search(r'(\d+) requests in', text).group(1))}


def read_h2load(text):
    done = re.search(r'(\d+) succeeded, (\d+) failed', text)
    return {'requests': int(done.group(1)), 'failed': int(done.group(2))}


def installed(*contenders):
    """Peers that are not on this machine are left out; the table shows who took part."""
    return [c for c in contenders if shutil.which(c.command[0])]


def ours(bench, *options, name='aioduct {}', all_cores=False):
    return [Contender(name.format(runtime), [bench.program('aioduct-load'), *options], read_json, runtime,
                      all_cores) for runtime in bench.runtimes]


def curls(bench, *options):
    program = bench.program('curl-load')
    libraries = {'OpenSSL': 'libcurl.so.4', 'GnuTLS': 'libcurl-gnutls.so.4'}
    found = []
    if shutil.which(program):
        for tls, library in libraries.items():
            found.append(Contender(f'libcurl {tls} sockets', [program, '-l', library, *options], read_json))
        found.append(Contender('libcurl OpenSSL poll', [program, '-p', *options], read_json))
    return found


class Scenario:
    """Requests of one shape; subclasses say how the contenders are called."""
    figure = 'us/request'

    def __init__(self, name, title):
        self.name = name
        self.title = title

    @staticmethod
    def value(figures):
        """CPU microseconds a request, from one run."""
        return figures['cpu'] / figures['requests'] * 1e6


class KeepAlive(Scenario):
    """HTTP/1.1, each connection asks again and again."""

    def __init__(self, connections, tls):
        kind = 'tls' if tls else 'clear'
        super().__init__(f'h1-{kind}-{connections}', f'HTTP/1.1 {kind}, {connections} connections')
        self.connections, self.tls = connections, tls
        self.requests = 30000 if connections == 1 else 150000

    @contextlib.contextmanager
    def start(self, bench):
        with bench.server(tls=self.tls) as port:
            scheme = 'https' if self.tls else 'http'
            url = f'{scheme}://127.0.0.1:{port}/'
            common = ['-n', self.requests, '-c', self.connections, '-1'] + (['-k', bench.ca] if self.tls else [])
            yield [
                *installed(Contender('wrk', ['wrk', '-t1', f'-c{self.connections}', '-d2', url], read_wrk)),
                *installed(Contender('h2load --h1', ['h2load', '--h1', '-n', self.requests, '-c',
                                                     self.connections, url], read_h2load)),
                *curls(bench, *common, url),
                *ours(bench, *common, url),
            ]


class Streams(Scenario):
    """HTTP/2, many streams on one connection."""

    def __init__(self, streams, tls):
        kind = 'tls' if tls else 'clear'
        super().__init__(f'h2-{kind}-{streams}', f'HTTP/2 {kind}, {streams} streams on one connection')
        self.streams, self.tls = streams, tls
        self.requests = 30000 if streams == 1 else 300000

    @contextlib.contextmanager
    def start(self, bench):
        with bench.server(tls=self.tls, h2=True) as port:
            scheme = 'https' if self.tls else 'http'
            url = f'{scheme}://127.0.0.1:{port}/'
            common = ['-n', self.requests, '-c', self.streams]
            common += ['-2', '-k', bench.ca] if self.tls else ['-H']
            yield [
                *installed(Contender('h2load', ['h2load', '-n', self.requests, '-c', 1, '-m', self.streams, url],
                                     read_h2load)),
                *curls(bench, *common, url),
                *ours(bench, *common, url),
            ]


class Fresh(Scenario):
    """A connection for each request."""

    def __init__(self, tls):
        kind = 'tls' if tls else 'clear'
        super().__init__(f'fresh-{kind}', f'HTTP/1.1 {kind}, a connection for each request, 16 at a time')
        self.tls = tls

    @contextlib.contextmanager
    def start(self, bench):
        with bench.server(tls=self.tls) as port:
            scheme = 'https' if self.tls else 'http'
            url = f'{scheme}://127.0.0.1:{port}/'
            common = ['-n', 3000 if self.tls else 15000, '-c', 16, '-1', '-f']
            common += ['-k', bench.ca] if self.tls else []
            yield [*curls(bench, *common, url), *ours(bench, *common, url)]


class Download(Scenario):
    """One large body."""
    figure = 'us/MiB'
    BYTES = 1 << 30

    def __init__(self, kind):
        super().__init__(f'download-{kind}', f'1 GiB down, {kind}')
        self.kind = kind

    @staticmethod
    def value(figures):
        return figures['cpu'] / (figures['body_bytes'] / (1 << 20)) * 1e6

    @contextlib.contextmanager
    def start(self, bench):
        tls, h2 = 'tls' in self.kind, 'h2' in self.kind
        with bench.server(tls=tls, h2=h2, body=self.BYTES) as port:
            url = f'{"https" if tls else "http"}://127.0.0.1:{port}/'
            common = ['-n', 1, '-c', 1, ('-2' if tls else '-H') if h2 else '-1']
            common += ['-k', bench.ca] if tls else []
            yield [*curls(bench, *common, url), *ours(bench, *common, url)]


class Idle(Scenario):
    """What an idle connection costs in user-space memory. No reference: bytes, not ratios."""
    figure = 'bytes each'

    def __init__(self, kind):
        self.connections = 1000 if 'tls' in kind else 10000  # a handshake takes its time
        super().__init__(f'idle-{kind}', f'{self.connections} idle connections, {kind}')
        self.kind = kind

    def value(self, figures):
        return figures['bytes_each'] if figures['idle'] >= self.connections else None

    @contextlib.contextmanager
    def start(self, bench):
        tls, h2 = 'tls' in self.kind, 'h2' in self.kind
        with bench.server(tls=tls, h2=h2) as port:
            url = f'{"https" if tls else "http"}://bench.test:{port}/'
            options = ['-i', '-c', self.connections, ('-2' if tls else '-H') if h2 else '-1']
            options += ['-k', bench.ca] if tls else []
            yield ours(bench, *options, url)


class Workers(Scenario):
    """Does a second loop cost CPU? One against two worker loops at the same total concurrency.

    With the client on a core of its own, both loops' work is all that is counted. On all cores the
    second loop and the server share one: what that costs any client is what wrk shows beside it.
    """

    def __init__(self, kind, all_cores):
        where = 'all cores' if all_cores else 'one core'
        super().__init__(f'workers-{"all-" if all_cores else ""}{kind}',
                         f'one and two worker loops on {where}, 64 at once, {kind}')
        self.kind, self.all_cores = kind, all_cores

    def pair(self, name, command, read, runtime=None):
        """One loop, and two against it. @command: of the number of loops."""
        return [Contender(f'{name} x{loops}', command(loops), read, runtime, self.all_cores, f'{name} x1')
                for loops in (1, 2)]

    @contextlib.contextmanager
    def start(self, bench):
        h2 = self.kind == 'h2'
        with bench.server(h2=h2) as port:
            url = f'http://127.0.0.1:{port}/'
            contenders = []
            if not h2:
                contenders += installed(*self.pair(
                    'wrk', lambda loops: ['wrk', f'-t{loops}', '-c64', '-d2', url], read_wrk))
            for runtime in bench.runtimes:
                contenders += self.pair(
                    f'aioduct {runtime}',
                    lambda loops: [bench.program('aioduct-load'), '-w', loops, '-n', 200000, '-c', 64,
                                   '-H' if h2 else '-1', url], read_json, runtime)
            yield contenders


ALL = [
    *[KeepAlive(n, tls) for tls in (False, True) for n in (1, 16, 64, 256)],
    *[Streams(n, tls) for tls in (False, True) for n in (1, 10, 100)],
    Fresh(False), Fresh(True),
    *[Download(kind) for kind in ('h1-clear', 'h1-tls', 'h2-clear', 'h2-tls')],
    *[Idle(kind) for kind in ('h1-clear', 'h2-clear', 'h1-tls')],
    *[Workers(kind, all_cores) for all_cores in (False, True) for kind in ('h1', 'h2')],
]

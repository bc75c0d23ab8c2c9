# SPDX-License-Identifier: MIT
"""Who takes part: client programs, how they are called, and how to read what they print."""
import json
import os
import re
import shutil
import subprocess
import tempfile

LIBCURLS = {'OpenSSL': 'libcurl.so.4', 'GnuTLS': 'libcurl-gnutls.so.4'}


class Contender:
    """A client program, and how to read what it prints."""

    def __init__(self, name, command, read, runtime=None, all_cores=False, reference=None, start=None,
                 start_requests=0):
        self.name = name
        self.reference = reference  # whose figure is 1.00; None: the first of the scenario
        self.command = [str(word) for word in command]
        self.read = read
        self.runtime = runtime
        self.all_cores = all_cores
        self.start = start  # a command that costs what starting costs; None: it leaves that out itself
        self.start_requests = start_requests  # that it makes

    def missing(self):
        """Why it cannot take part; None: it can."""
        return None if shutil.which(self.command[0]) else f'{os.path.basename(self.command[0])} is not here'

    def run(self, bench):
        return bench.run(self)


class Counted(Contender):
    """User instructions a warm request: callgrind's count of N and of 2 N requests, the difference."""

    def __init__(self, name, command, read, more, runtime=None):
        super().__init__(name, command, read, runtime)
        self.more = [str(word) for word in more]  # the same with 2 N

    def missing(self):
        return super().missing() or (None if shutil.which('valgrind') else 'valgrind is not here')

    def once(self, bench, command):
        """-> instructions, requests"""
        with tempfile.TemporaryDirectory() as directory:
            out = os.path.join(directory, 'out')
            done = subprocess.run(['valgrind', '-q', '--tool=callgrind', '--callgrind-out-file=' + out, *command],
                                  env=bench.environment(self.runtime or 'epoll'), capture_output=True,
                                  text=True, timeout=120, check=False)
            if done.returncode != 0:
                raise ValueError((done.stderr.strip() or done.stdout.strip() or 'failed').splitlines()[-1][:200])
            with open(out, encoding='utf-8', errors='replace') as text:
                totals = re.search(r'^(?:summary|totals): (\d+)', text.read(), re.MULTILINE)
            return int(totals.group(1)), self.read(done.stdout)['requests']

    def run(self, bench):
        try:
            less, more = self.once(bench, self.command), self.once(bench, self.more)
            return {'instructions': (more[0] - less[0]) / (more[1] - less[1])}
        except (ValueError, AttributeError, ZeroDivisionError, subprocess.TimeoutExpired) as error:
            return {'error': str(error)[:200]}


# ---- what they print ----

def read_json(text):
    return json.loads(text.splitlines()[-1])


def read_wrk(text):
    wrong = re.search(r'(Non-2xx.*|Socket errors.*)', text)
    if wrong:
        raise ValueError(wrong.group(1))
    requests = int(re.search(r'(\d+) requests in', text).group(1))
    if requests == 0:
        raise ValueError('no request was done in time')
    return {'requests': requests}


def read_h2load(text):
    done = re.search(r'(\d+) succeeded, (\d+) failed', text)
    return {'requests': int(done.group(1)), 'failed': int(done.group(2))}


# ---- the usual ones ----

def opening(connections, url, *kind):
    """A start with connections, and a request on each: what comes before warm requests."""
    return ['h2load', *map(str, kind), '-n', str(connections), '-c', str(connections), url]


def wrk(connections, url, seconds=1):
    """wrk opens connections at about h2load's cost, and has no count of requests to measure that by."""
    return Contender('wrk', ['wrk', '-t1', f'-c{connections}', f'-d{seconds}', url], read_wrk,
                     start=opening(connections, url, '--h1'), start_requests=connections)


def h2load(requests, connections, streams, url, h1=False):
    kind = ['--h1'] if h1 else ['-m', streams]
    requests += connections
    return Contender('h2load --h1' if h1 else 'h2load',
                     ['h2load', *kind, '-n', requests, '-c', connections, url], read_h2load,
                     start=opening(connections, url, *kind), start_requests=connections)


def ours(bench, *options):
    return [Contender(f'aioduct {runtime}', [bench.program('aioduct-load'), *options], read_json, runtime)
            for runtime in bench.runtimes]


def curl(bench, tls, how, *options, name=None):
    """libcurl's multi interface; @how: 'sockets' (socket_action over epoll) or 'poll'."""
    return Contender(name or f'libcurl {tls} {how}',
                     [bench.program('curl-load'), '-l', LIBCURLS[tls], *(['-p'] if how == 'poll' else []),
                      *options], read_json)


def curls(bench, *options):
    return [curl(bench, tls, how, *options) for tls in LIBCURLS for how in ('sockets', 'poll')]

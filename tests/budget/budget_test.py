#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a warm request costs, exactly: system calls, allocations, instructions, memory of an idle
connection, copies of a body. Prints TAP.

Each cost is the difference of two runs, of N and of 2 N requests, so that starting and ending do not
count. budget_test.py LOAD SERVER COUNT_MALLOC CERTS [COPIES]; the runtime is the one that AIODUCT_RUNTIME names,
and a sanitized build has no COPIES.
"""
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile

LOAD, SERVER, COUNT_MALLOC, CERTS = sys.argv[1:5]
COPIES = sys.argv[5:]
RUNTIME = os.environ['AIODUCT_RUNTIME']
COMPILER = os.environ.get('BUDGET_COMPILER', '')  # name and major version; only optimised builds give it
HERE = os.path.dirname(os.path.abspath(__file__))
CONNECTIONS = 64
IDLE_BYTES = {'epoll': 345, 'uring': 410, 'libev': 475, 'libevent': 540}  # the libraries' own too
# Of a connection, but for waits. libev finds only by a call that fails that a number is another descriptor's.
FRESH_CALLS = {'epoll': 12, 'libevent': 14, 'libev': 13, 'uring': 5}
# Connection and its transport; dial; attempt; the address that a ring reads. A numeric host, so no look-up.
FRESH_ALLOCATIONS = {'epoll': 3, 'libevent': 3, 'libev': 3, 'uring': 4}
H2_OPTIONS = ['-H', '-c', '100']  # on one connection
H2_ALLOCATIONS = 0.001  # what nghttp2 takes, the request before has left
LARGE_MIB, LARGE_CALLS = 128, 48  # with all calls of the program's start
COPIED_MIB = 16  # of each body whose copies are counted
IDLE_H2_BYTES = 16384  # with nghttp2's, and an origin for each


class Skip(Exception):
    """The reason why a case cannot run here."""


class Server:
    def __init__(self, *options):
        self.process = subprocess.Popen([SERVER, *options], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return f'http://127.0.0.1:{self.port}/'

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def run(command, **environment):
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True,
                          timeout=120, check=False)
    if done.returncode != 0:
        raise AssertionError(f'{" ".join(command)}: {done.stderr.strip() or done.stdout.strip()}')
    return json.loads(done.stdout.splitlines()[-1])


def difference(count, requests, *options, server=()):
    """count(command) of 2 N requests less that of N, a request."""
    with Server(*server) as url, tempfile.TemporaryDirectory() as directory:
        def one(many):
            return count([LOAD, '-n', str(many), *options, url], directory)
        less, more = one(requests), one(2 * requests)
    if isinstance(less, dict):
        names = set(less) | set(more)
        return {n: (more.get(n, 0) - less.get(n, 0)) / requests for n in names}
    return (more - less) / requests


def count_calls(command, directory):
    report = os.path.join(directory, 'calls')
    run(['strace', '-f', '-c', '-U', 'name,calls', '-o', report, *command])
    calls = {}
    with open(report, encoding='ascii') as lines:
        for line in lines:
            words = line.split()
            if len(words) == 2 and words[1].isdigit() and words[0] != 'total':
                calls[words[0]] = int(words[1])
    return calls


def count_allocations(command, directory):
    report = os.path.join(directory, 'allocations')
    run(command, LD_PRELOAD=COUNT_MALLOC, COUNT_MALLOC_FILE=report)
    with open(report, encoding='ascii') as text:
        count = int(text.read())
    assert count > 0, 'no allocation of the whole program was counted'
    return count


def count_instructions(command, directory):
    report = os.path.join(directory, 'callgrind')
    run(['valgrind', '-q', '--tool=callgrind', f'--callgrind-out-file={report}', *command])
    with open(report, encoding='utf-8', errors='replace') as lines:
        for line in lines:
            if line.startswith(('summary:', 'totals:')):
                return int(line.split()[1])
    raise AssertionError('callgrind gave no total')


def need(program):
    if shutil.which(program) is None:
        raise Skip(f'{program} is not installed')
    if os.environ.get('BUDGET_SANITIZED'):
        raise Skip("a sanitizer's own work would be counted")


def at_most(what, value, limit):
    print(f'# {what}: {value:.4f} (at most {limit})')
    assert value <= limit, f'{what}: {value:.4f}, at most {limit}'


def need_strace():
    need('strace')
    if subprocess.run(['strace', '-qq', '-o', '/dev/null', 'true'], capture_output=True, check=False).returncode:
        raise Skip('strace cannot be used here')


def system_calls():
    need_strace()
    calls = difference(count_calls, 4000, '-c', str(CONNECTIONS))
    waits = sum(calls.pop(n, 0) for n in ('epoll_wait', 'epoll_pwait', 'epoll_pwait2'))
    enters = calls.pop('io_uring_enter', 0)
    sends = sum(calls.pop(n, 0) for n in ('sendto', 'sendmsg', 'write', 'writev'))
    receives = sum(calls.pop(n, 0) for n in ('recvfrom', 'recvmsg', 'read', 'readv'))
    if RUNTIME == 'uring':
        at_most('io_uring_enter', enters, 0.4)
        at_most('sends and receives outside the ring', sends + receives, 0.01)
    else:
        at_most('sends', sends, 1.01)
        at_most('receives', receives, 1.01)
        at_most('waits', waits, 1.0)
    at_most('all other calls', sum(calls.values()), 0.01)


def allocations():
    need(LOAD)
    at_most('allocations', difference(count_allocations, 5000, '-c', str(CONNECTIONS)), 0.001)


def fresh_system_calls():
    need_strace()
    calls = difference(count_calls, 500, '-f', '-c', '16')
    waits = sum(calls.pop(n, 0) for n in ('epoll_wait', 'epoll_pwait', 'epoll_pwait2'))
    enters = calls.pop('io_uring_enter', 0)
    print(f'# {", ".join(f"{n} {many:.2f}" for n, many in sorted(calls.items()) if many > 0.01)}')
    at_most('waits and enters', waits + enters, 4)
    at_most('all other calls', sum(calls.values()), FRESH_CALLS[RUNTIME] + 0.5)


def fresh_allocations():
    need(LOAD)
    at_most('allocations', difference(count_allocations, 1000, '-f', '-c', '16'), FRESH_ALLOCATIONS[RUNTIME] + 0.1)


def h2_system_calls():
    need_strace()
    calls = difference(count_calls, 4000, *H2_OPTIONS, server=['-2'])
    at_most('system calls', sum(calls.values()), 0.2)


def large_body():
    """How much lies ready when the client looks is the server's and the kernel's affair, so the bound is wide;
    reads of 16 KiB alone would be 64 for a MiB, as many waits beside."""
    need_strace()
    with Server('-b', str(LARGE_MIB << 20)) as url, tempfile.TemporaryDirectory() as directory:
        calls = count_calls([LOAD, '-n', '1', url], directory)
    at_most('system calls for a MiB', sum(calls.values()) / LARGE_MIB, LARGE_CALLS)


def large_file():
    """As many as a body that comes down; reading it first took 64 and more."""
    need_strace()
    with Server('-b', '100') as url, tempfile.TemporaryDirectory() as directory:
        file = os.path.join(directory, 'body')
        with open(file, 'wb') as body:
            body.truncate(LARGE_MIB << 20)
        calls = count_calls([LOAD, '-n', '1', '-u', str(LARGE_MIB << 20), '-U', file, url], directory)
    at_most('reads of the file', calls.get('pread64', 0), 16)  # the loader reads notes of plugins too
    at_most('system calls for a MiB', sum(calls.values()) / LARGE_MIB, LARGE_CALLS)


def h2_allocations():
    need(LOAD)
    at_most('allocations', difference(count_allocations, 4000, *H2_OPTIONS, server=['-2']), H2_ALLOCATIONS)


def baseline(cost):
    """The recorded cost on this runtime with this compiler."""
    with open(os.path.join(HERE, 'baseline.json'), encoding='utf-8') as text:
        recorded = json.load(text).get(f'{platform.machine()} {COMPILER}', {}).get(cost, {}).get(RUNTIME)
    if recorded is None:
        raise Skip(f'no cost is recorded for {COMPILER} on {platform.machine()}')
    return recorded


def instructions(cost, *options, server=()):
    need('valgrind')
    if not COMPILER:
        raise Skip('instructions are counted in optimised builds')
    recorded = baseline(cost)
    at_most('instructions', difference(count_instructions, 2000, *options, server=server), recorded * 1.02)


def h1_instructions():
    instructions('h1', '-c', '16')


def h2_instructions():
    instructions('h2', *H2_OPTIONS, server=['-2'])


def idle_bytes(options, host, server=()):
    """The slope: what a loop has anyway, for any number of connections, is not theirs."""
    need(LOAD)
    grown = []
    with Server(*server) as url:
        for many in 1000, 3000:
            figures = run([LOAD, '-i', '-c', str(many), *options, url.replace('127.0.0.1', host)])
            assert figures['idle'] == many, figures
            grown.append(figures['bytes_each'] * (many - 1))
    return (grown[1] - grown[0]) / 2000


def idle_memory():
    grown = idle_bytes([], '127.0.0.1')
    at_most('bytes an idle connection', grown, IDLE_BYTES[RUNTIME])
    at_most('bytes, as recorded', grown, baseline('idle') * 1.02)


def idle_h2_memory():
    at_most('bytes an idle connection', idle_bytes(['-H'], 'bench.test', ['-2']), IDLE_H2_BYTES)


def copies(*options, server=(), scheme='http'):
    """What the program saw, with bytes as shares of the body's."""
    need(SERVER)
    with Server('-b', str(COPIED_MIB << 20), *server) as url:
        seen = run([*COPIES, *options, url.replace('http', scheme)])
    assert seen['body_bytes'] == COPIED_MIB << 20, seen
    if not seen['receives_seen']:
        raise Skip('receives cannot be seen here: the kernel has no rings of buffers')
    return {n: seen[n] / seen['body_bytes'] for n in ('outside', 'copied')}


def body_copies(*options, **how):
    seen = copies(*options, **how)
    at_most('of the body, not where it was put', seen['outside'], 0)
    return seen['copied']


def h1_copies():
    at_most('copies of a byte', body_copies(), 0.001)


def h2_copies():
    at_most('copies of a byte', body_copies('-H', server=['-2']), 0.001)


def tls_copies():
    """GnuTLS is given the ciphertext in a buffer of its own, and its plaintext is handed over."""
    cert, key, ca = (os.path.join(CERTS, n) for n in ('server.pem', 'server.key', 'ca.pem'))
    at_most('copies of a byte', body_copies('-k', ca, server=['-c', cert, '-k', key], scheme='https'), 1.01)


def memory_copies():
    """But for what comes with the head. The ring has its own buffers, and copies once."""
    seen = copies('-m', str(COPIED_MIB))
    at_most('copies of a byte', seen['copied'], 1.001 if RUNTIME == 'uring' else 0.05)


def upload_copies():
    """Into the block that is sent, which lies still whatever becomes of the exchange."""
    at_most('copies of a byte', copies('-u', str(COPIED_MIB), server=['-b', '0'])['copied'], 1.001)


CASES = {
    'a warm request is one send, one receive and a share of a wait': system_calls,
    'a warm request allocates nothing': allocations,
    'a warm request needs no more instructions than recorded': h1_instructions,
    'a large body needs few system calls': large_body,
    'a large file goes up in few system calls, unread': large_file,
    'a warm HTTP/2 request has a small share of a system call': h2_system_calls,
    'a warm HTTP/2 request allocates nothing': h2_allocations,
    'a warm HTTP/2 request needs no more instructions than recorded': h2_instructions,
    'a connection for one request makes no more system calls than it needs': fresh_system_calls,
    'a connection for one request allocates no more than recorded': fresh_allocations,
    'a body is handed over where the kernel has put it, and not copied': h1_copies,
    'an HTTP/2 body is handed over where the kernel has put it, and not copied': h2_copies,
    'a body over TLS is handed over where GnuTLS has put it, and copied once': tls_copies,
    'a body that goes into memory is received there, and not copied': memory_copies,
    'a request body in memory is copied once': upload_copies,
    'an idle connection keeps within its memory': idle_memory,
    'an idle HTTP/2 connection keeps within its memory': idle_h2_memory,
}


def main():
    failed = False
    print(f'1..{len(CASES)}')
    for number, (name, case) in enumerate(CASES.items(), 1):
        try:
            case()
            print(f'ok {number} - {name}', flush=True)
        except Skip as reason:
            print(f'ok {number} - {name} # SKIP {reason}', flush=True)
        except AssertionError as error:
            failed = True
            print(f'not ok {number} - {name}\n# {error}', flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())

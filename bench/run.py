#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Benchmarks against peers: ./dev bench [scenario ...] [--quick] [--rounds N] [--list]

Each round runs every contender once, in turn, against the same server; the figure is the client's CPU
(user and system) per request, and ratios are taken within one round to the scenario's reference. The
server is pinned to one core and the client to another; a run is repeated if others took more than 6 % of
the client's core. A run of all scenarios leaves bench/results/; any other, build/bench-results/.
"""
import argparse
import contextlib
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import machine
import report
import scenarios

HERE = os.path.dirname(os.path.abspath(__file__))
DISTURBED = 0.06   # of the client's core, others' work: then the run is repeated
UNSURE_S = 0.02    # what the kernel's clock ticks may be wrong by
REPEATS = 3
TIMEOUT_S = 120
BIG_BYTES = 1 << 30

NGINX = '''
daemon off; worker_processes 1; pid {directory}/pid; error_log stderr crit; {user}
events {{ worker_connections 8192; }}
http {{
  access_log off; sendfile on; keepalive_requests 1000000000; keepalive_timeout 600;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory}; default_type text/plain;
  open_file_cache max=8;
  server {{
    listen 127.0.0.1:{port} {listen};
    {tls}
    root {directory};
    location = / {{ return 200 "{body}"; }}
  }}
}}
'''
NGINX_TLS = '''ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;'''


class Bench:
    """What scenarios need to know: where programs are, and how to start them."""

    def __init__(self, build, runtimes, scale, repeats):
        self.build = os.path.abspath(build)
        self.runtimes = runtimes
        self.scale = scale
        self.repeats = repeats
        self.starts = {}  # CPU of a program that starts and ends, by its command
        self.ca = os.path.join(self.build, 'bench', 'certs', 'ca.pem')
        self.cert = os.path.join(self.build, 'bench', 'certs', 'server.pem')
        self.key = os.path.join(self.build, 'bench', 'certs', 'server.key')
        self.make_certificates()
        cores = sorted(os.sched_getaffinity(0))
        self.server_core, self.client_core = cores[0], cores[-1]
        self.cores = cores

    def make_certificates(self):
        """A self-made authority with one ECDSA certificate for 127.0.0.1 and localhost."""
        directory = os.path.dirname(self.ca)
        if os.path.exists(self.cert):
            return
        os.makedirs(directory, exist_ok=True)
        ca_key = os.path.join(directory, 'ca.key')
        extension = os.path.join(directory, 'server.ext')
        request = os.path.join(directory, 'server.csr')
        with open(extension, 'w', encoding='ascii') as out:
            out.write('subjectAltName=DNS:localhost,DNS:bench.test,DNS:*.bench.test,IP:127.0.0.1\n')
        key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
        for command in (
                ['req', '-x509', *key, '-days', '3650', '-subj', '/CN=bench authority', '-keyout', ca_key,
                 '-out', self.ca],
                ['req', *key, '-subj', '/CN=localhost', '-keyout', self.key, '-out', request],
                ['x509', '-req', '-in', request, '-CA', self.ca, '-CAkey', ca_key, '-CAcreateserial',
                 '-days', '3650', '-extfile', extension, '-out', self.cert]):
            subprocess.run(['openssl', *command], check=True, capture_output=True)

    def count(self, many):
        """So many requests, or fewer in a run that is to be short."""
        return max(1, round(many * self.scale))

    def program(self, name):
        return os.path.join(self.build, 'bench', name)

    def tool(self):
        return os.path.join(self.build, 'tools', 'aioduct')

    def environment(self, runtime):
        plugins = os.path.join(self.build, 'plugins')
        path = ':'.join(os.path.join(plugins, name) for name in ('libevent', 'libev', 'uring'))
        return {**os.environ, 'AIODUCT_RUNTIME': runtime, 'AIODUCT_PLUGIN_PATH': path,
                'AIODUCT_CONFIG': '/dev/null'}

    # ---- servers, pinned to their core ----

    def on_server_core(self, *command):
        return ['taskset', '-c', str(self.server_core), *command]

    @contextlib.contextmanager
    def server(self, *options, tls=False, h2=False, body=100):
        """Yields the port of a bench-server."""
        command = self.on_server_core(self.program('bench-server'), '-b', str(body), *options)
        command += ['-2'] if h2 else []
        command += ['-c', self.cert, '-k', self.key] if tls else []
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()

    @contextlib.contextmanager
    def nginx(self, tls=False, h2=False):
        """Yields the port of an nginx: 100 bytes at /, 1 GiB at /big."""
        with socket.socket() as any_port:
            any_port.bind(('127.0.0.1', 0))
            port = any_port.getsockname()[1]
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, 'big'), 'wb') as big:
                big.truncate(self.count(BIG_BYTES))
            os.chmod(directory, 0o755)
            config = os.path.join(directory, 'nginx.conf')
            listen = ' '.join(word for word, on in (('ssl', tls), ('http2', h2)) if on)
            secure = NGINX_TLS.format(cert=self.cert, key=self.key) if tls else ''
            user = 'user root;' if os.getuid() == 0 else ''
            with open(config, 'w', encoding='ascii') as out:
                out.write(NGINX.format(directory=directory, port=port, listen=listen, tls=secure, user=user,
                                       body='x' * 100))
            process = subprocess.Popen(self.on_server_core('nginx', '-e', 'stderr', '-c', config),
                                       stderr=subprocess.PIPE, text=True)
            try:
                await_listener(process, port)
                yield port
            finally:
                process.terminate()
                process.wait()
                process.stderr.close()

    # ---- clients ----

    def execute(self, command, runtime, cores=None):
        """-> its end, and CPU seconds of it and its children"""
        cores = ','.join(map(str, cores or [self.client_core]))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(['taskset', '-c', cores, *command], env=self.environment(runtime or 'epoll'),
                              capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def start_cpu(self, command):
        """What starting a peer costs, once measured: ours count from when their connections are open."""
        if command is None:
            return 0.0
        key = tuple(command)
        if key not in self.starts:
            self.starts[key] = statistics.median(self.execute(command, None)[1] for _ in range(5))
        return self.starts[key]

    def attempt(self, contender):
        """-> figures of one run, or a reason why there are none"""
        started, busy = time.monotonic(), machine.busy_seconds(self.client_core)
        try:
            done, cpu = self.execute(contender.command, contender.runtime,
                                     self.cores if contender.all_cores else None)
        except subprocess.TimeoutExpired:
            return {'error': f'not done after {TIMEOUT_S} s'}
        seconds = time.monotonic() - started
        others = max(0.0, machine.busy_seconds(self.client_core) - busy - cpu)
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip() or f'status {done.returncode}').splitlines()[-1]
            return {'error': said[:200]}
        figures = {'seconds': round(seconds, 3), 'cpu': cpu - self.start_cpu(contender.start),
                   'others': round(others, 3)}
        try:
            figures.update(contender.read(done.stdout))
        except (AttributeError, IndexError, ValueError) as error:
            return {'error': f'what it printed cannot be read: {error}'[:200]}
        if contender.start_requests > 0:
            figures['requests'] -= contender.start_requests
            if figures['requests'] <= 0:
                return {'error': 'not a request more than connections'}
        if figures.get('failed', 0) > 0:
            return {'error': f'{figures["failed"]} requests failed'}
        return figures

    def run(self, contender):
        """The least disturbed of some attempts; most often the first will do."""
        best = None
        for number in range(self.repeats + 1):
            figures = self.attempt(contender)
            if 'error' in figures:
                return figures
            figures['repeats'] = number
            if best is None or figures['others'] / figures['seconds'] < best['others'] / best['seconds']:
                best = figures
            best['repeats'] = number
            if contender.all_cores or best['others'] <= DISTURBED * best['seconds'] + UNSURE_S:
                break
        return best


def await_listener(process, port):
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(('127.0.0.1', port)) == 0:
                return
        if process.poll() is not None:
            raise RuntimeError('nginx: ' + process.stderr.read().strip()[-200:])
        time.sleep(0.02)
    raise RuntimeError('nginx does not listen')


def progress(text):
    if sys.stderr.isatty():
        print(f'\r\x1b[K{text}', end='', file=sys.stderr, flush=True)


def measure(bench, scenario, rounds, only=None):
    """-> {contender: [figures of each round]}, {contender: its reference}"""
    results = {}
    with scenario.start(bench) as all_contenders:
        contenders = [c for c in all_contenders
                      if only is None or any(c.name.startswith(word) for word in only.split(','))]
        if not contenders:
            raise ValueError(f"--only: no contender's name begins with '{only}'; there are "
                             f"{', '.join(c.name for c in all_contenders)}")
        for number in range(rounds):
            for contender in contenders:
                if any('error' in figures for figures in results.get(contender.name, [])):
                    continue  # it cannot do this; once is enough to know
                progress(f'{scenario.name}: round {number + 1}/{rounds}: {contender.name}')
                missing = contender.missing()
                figures = {'error': missing} if missing else contender.run(bench)
                results.setdefault(contender.name, []).append(figures)
    progress('')
    return results, {c.name: c.reference or all_contenders[0].name for c in contenders}


def positive(number):
    def read(text):
        value = number(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"'{text}' is not above 0")
        return value
    read.__name__ = number.__name__  # for argparse's own errors
    return read


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('scenario', nargs='*', help='names or their beginnings; none: all')
    parser.add_argument('--build', default=os.path.join(HERE, '..', 'build', 'benchmarks'))
    parser.add_argument('--rounds', type=positive(int), help='7')
    parser.add_argument('--quick', action='store_true', help='one round of short runs: does everything work?')
    parser.add_argument('--scale', type=positive(float), help='requests of each run, of the full number')
    parser.add_argument('--repeats', type=int, help='of a disturbed run, at most: 3')
    parser.add_argument('--runtimes', default='epoll,libevent,libev,uring')
    parser.add_argument('--only', help='beginnings of contenders, with commas: the others stay away')
    parser.add_argument('--results', help='directory')
    parser.add_argument('--markdown', metavar='FILE', help='write the table there too')
    parser.add_argument('--list', action='store_true')
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 7)
    arguments.scale = arguments.scale or (0.25 if arguments.quick else 1.0)
    if arguments.repeats is None:
        arguments.repeats = 0 if arguments.quick else REPEATS
    return arguments


def main():
    arguments = parse()
    chosen = scenarios.named(arguments.scenario) if arguments.scenario else scenarios.ALL
    if arguments.list or not chosen:
        print('\n'.join(f'{s.name:18} {s.title}' for s in scenarios.ALL))
        return 0 if arguments.list else 2
    whole = not arguments.scenario and not arguments.only and arguments.scale == 1.0
    directory = arguments.results or (os.path.join(HERE, 'results') if whole else
                                      os.path.join(HERE, '..', 'build', 'bench-results'))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are ended
    private = machine.private_network()
    bench = Bench(arguments.build, arguments.runtimes.split(','), arguments.scale,
                  arguments.repeats)
    run = {'machine': {**machine.facts(), 'private_network': private}, 'versions': machine.versions(),
           'started': time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime()), 'rounds': arguments.rounds,
           'scale': arguments.scale, 'scenarios': []}
    started = time.monotonic()
    for scenario in chosen:
        began = time.monotonic()
        try:
            rounds, references = measure(bench, scenario, min(arguments.rounds, scenario.rounds_max),
                                         arguments.only)
            run['scenarios'].append(report.summarise(scenario, rounds, references))
        except (OSError, RuntimeError, ValueError, ArithmeticError) as error:
            run['scenarios'].append(report.failed(scenario, f'{type(error).__name__}: {error}'))
        run['scenarios'][-1]['seconds'] = round(time.monotonic() - began, 1)
        run['seconds'] = round(time.monotonic() - started)
        print(report.table(run['scenarios'][-1]), flush=True)
        report.write(directory, run)
    print(report.closing(run))
    if arguments.markdown:
        with open(arguments.markdown, 'w', encoding='utf-8') as out:
            out.write(report.markdown(run))
    return 1 if report.failures(run, 'aioduct') else 0


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Benchmarks against peers: ./dev bench [scenario ...] [--rounds N] [--runtimes a,b] [--list]

Each round runs every contender once, in turn, against the same server; the figure is the client's CPU
(user and system) per request, and ratios are taken within one round to the scenario's reference. The
server is pinned to one core and the client to another. Results go to bench/results/ as JSON and SVG.
"""
import argparse
import contextlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

import report
import scenarios

HERE = os.path.dirname(os.path.abspath(__file__))


class Bench:
    """What scenarios need to know: where programs are, and how to start them."""

    def __init__(self, build, runtimes):
        self.build = os.path.abspath(build)
        self.runtimes = runtimes
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

    def program(self, name):
        return os.path.join(self.build, 'bench', name)

    def environment(self, runtime):
        plugins = os.path.join(self.build, 'plugins')
        path = ':'.join(os.path.join(plugins, name) for name in ('libevent', 'libev', 'uring'))
        return {**os.environ, 'AIODUCT_RUNTIME': runtime, 'AIODUCT_PLUGIN_PATH': path,
                'AIODUCT_CONFIG': '/dev/null'}

    @contextlib.contextmanager
    def server(self, tls=False, h2=False, body=100):
        """Yields the port of a bench-server."""
        command = ['taskset', '-c', str(self.server_core), self.program('bench-server'), '-b', str(body)]
        command += ['-2'] if h2 else []
        command += ['-c', self.cert, '-k', self.key] if tls else []
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()

    def run(self, contender):
        """-> figures of one run, or a reason why there are none"""
        cores = ','.join(map(str, self.cores)) if contender.all_cores else str(self.client_core)
        command = ['taskset', '-c', cores, *contender.command]
        started = time.monotonic()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = self.environment(contender.runtime or 'epoll')
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300,
                              check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        figures = {
            'seconds': time.monotonic() - started,
            'cpu': after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        }
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip() or 'nothing').splitlines()[-1]
            return {'error': said[:200]}
        figures.update(contender.read(done.stdout))
        return figures


def machine():
    """The shape that stands beside every figure."""
    model = 'unknown'
    with open('/proc/cpuinfo', encoding='utf-8') as lines:
        for line in lines:
            if line.startswith('model name'):
                model = line.split(':', 1)[1].strip()
                break
    return {'cpu': model, 'cores': len(os.sched_getaffinity(0)), 'kernel': platform.release(),
            'load_before': os.getloadavg()[0]}


def measure(bench, scenario, rounds):
    """-> {contender: [figures of each round]}, {contender: its reference}"""
    results = {}
    with scenario.start(bench) as contenders:
        for number in range(rounds):
            for contender in contenders:
                if any('error' in figures for figures in results.get(contender.name, [])):
                    continue  # it cannot do this; once is enough to know
                print(f'\r\x1b[K{scenario.name}: round {number + 1}/{rounds}: {contender.name}', end='',
                      file=sys.stderr, flush=True)
                results.setdefault(contender.name, []).append(bench.run(contender))
    print('\r\x1b[K', end='', file=sys.stderr)
    return results, {c.name: c.reference or contenders[0].name for c in contenders}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('scenario', nargs='*', help='names or their beginnings; none: all')
    parser.add_argument('--build', default=os.path.join(HERE, '..', 'build', 'benchmarks'))
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--runtimes', default='epoll,libevent,libev,uring')
    parser.add_argument('--results', default=os.path.join(HERE, 'results'))
    parser.add_argument('--list', action='store_true')
    arguments = parser.parse_args()
    chosen = [s for s in scenarios.ALL
              if not arguments.scenario or any(s.name.startswith(w) for w in arguments.scenario)]
    if arguments.list or not chosen:
        print('\n'.join(f'{s.name:18} {s.title}' for s in scenarios.ALL))
        return 0 if arguments.list else 2
    bench = Bench(arguments.build, arguments.runtimes.split(','))
    shape = machine()
    summaries = []
    for scenario in chosen:
        rounds, references = measure(bench, scenario, arguments.rounds)
        summaries.append(report.summarise(scenario, rounds, references, statistics.median))
        print(report.table(summaries[-1]), flush=True)
    report.write(arguments.results, shape, arguments.rounds, summaries)
    return 0


if __name__ == '__main__':
    sys.exit(main())

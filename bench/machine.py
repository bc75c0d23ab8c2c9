# SPDX-License-Identifier: MIT
"""The machine that is measured on: what it is, who else is at work on it, and a network of its own."""
import ctypes
import fcntl
import os
import platform
import re
import socket
import struct
import subprocess

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP, IFF_LOOPBACK = 0x8914, 0x1, 0x8
TICK = 1 / os.sysconf('SC_CLK_TCK')


def private_network():
    """Loopback in a namespace of its own, with ports enough and TCP's plain congestion control, if root may.

    Pacing timers of other congestion controls would be counted as the client's. -> is it so?
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with open('/proc/self/ns/net', 'rb') as before:
        if libc.unshare(CLONE_NEWNET) != 0:
            return False
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
                fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack('16sH14x', b'lo', IFF_UP | IFF_LOOPBACK))
        except OSError:
            libc.setns(before.fileno(), CLONE_NEWNET)
            return False
    for name, value in (('tcp_congestion_control', 'reno'), ('ip_local_port_range', '2000 65000')):
        try:
            with open('/proc/sys/net/ipv4/' + name, 'w', encoding='ascii') as out:
                out.write(value)
        except OSError:
            pass  # what is in force stands in the results
    return True


def busy_seconds(core):
    """That core's time at work since the start, whoever's; with what the hypervisor gave to others."""
    with open('/proc/stat', encoding='ascii') as lines:
        for line in lines:
            words = line.split()
            if words[0] == f'cpu{core}':
                user, nice, system, _idle, _wait, irq, softirq, steal = map(int, words[1:9])
                return (user + nice + system + irq + softirq + steal) * TICK
    return 0.0


def first_match(path, pattern):
    try:
        with open(path, encoding='utf-8', errors='replace') as text:
            found = re.search(pattern, text.read(), re.MULTILINE)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def facts():
    """The shape that stands beside every figure."""
    memory = first_match('/proc/meminfo', r'^MemTotal:\s+(\d+)')
    return {
        'cpu': first_match('/proc/cpuinfo', r'^model name\s*:(.*)$') or platform.machine(),
        'cores': len(os.sched_getaffinity(0)),
        'memory_mib': int(memory) // 1024 if memory else None,
        'kernel': platform.release(),
        'congestion_control': first_match('/proc/sys/net/ipv4/tcp_congestion_control', '(.*)'),
        'load_before': os.getloadavg()[0],
    }


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return ((done.stdout or done.stderr).splitlines() or [''])[0].strip() or None


def number_in(text):
    found = re.search(r'\d+(\.\d+)+[^\s,]*', text or '')
    return found.group() if found else text


def macros(header):
    """Numbers that a header defines; libev and llhttp say their version so."""
    text = subprocess.run(['gcc', '-E', '-dM', '-I/usr/share/include/llhttp', '-include', header, '-xc',
                           '/dev/null'], capture_output=True, text=True, check=False).stdout
    return dict(re.findall(r'^#define (\w+) (\d+)$', text, re.MULTILINE))


def joined(numbers, *names):
    return '.'.join(numbers[n] for n in names) if all(n in numbers for n in names) else None


def versions():
    """Of all that takes part."""
    llhttp, libev = macros('llhttp.h'), macros('ev.h')
    found = {
        'aioduct': first_line('git', '-C', os.path.dirname(os.path.abspath(__file__)), 'describe',
                              '--always', '--dirty'),
        'gcc': first_line('gcc', '-dumpfullversion'),
        **{name: first_line('pkg-config', '--modversion', package) for name, package in (
            ('GnuTLS', 'gnutls'), ('nghttp2', 'libnghttp2'), ('liburing', 'liburing'),
            ('libevent', 'libevent'))},
        'llhttp': joined(llhttp, 'LLHTTP_VERSION_MAJOR', 'LLHTTP_VERSION_MINOR', 'LLHTTP_VERSION_PATCH'),
        'libev': joined(libev, 'EV_VERSION_MAJOR', 'EV_VERSION_MINOR'),
        **{name: number_in(first_line(*command)) for name, command in (
            ('curl', ('curl', '--version')), ('wrk', ('wrk', '-v')), ('h2load', ('h2load', '--version')),
            ('nginx', ('nginx', '-v')), ('OpenSSL', ('openssl', 'version')),
            ('valgrind', ('valgrind', '--version')))},
    }
    return {name: text for name, text in found.items() if text}

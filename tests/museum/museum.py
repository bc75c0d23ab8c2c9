#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plugins that were built at a release still load into today's library, and a page comes through each.

TAP on standard output. Usage: museum.py COMMAND DIRECTORY
COMMAND is the aioduct command, DIRECTORY has one version's plugins.
"""
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading

PAGE = b"from the museum\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(PAGE), PAGE)


def serve(listener):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                more = connection.recv(4096)
                if not more:
                    break
                head += more
            connection.sendall(ANSWER)


def listen(family, address):
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen()
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    return listener


def fetch(command, url, **variables):
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIODUCT_")}
    env.update({"AIODUCT_LOG": "info", "AIODUCT_CONFIG": "/dev/null", **variables})
    return subprocess.run([command, url], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)


def main():
    command, directory = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    plugins = sorted(directory.glob("*.so"))
    # Where nobody but the user of this process can write, whatever the mode of the sources is.
    with tempfile.TemporaryDirectory() as where:
        tcp = listen(socket.AF_INET, ("127.0.0.1", 0))
        unix = listen(socket.AF_UNIX, f"{where}/socket")
        url = f"http://127.0.0.1:{tcp.getsockname()[1]}/"
        config = pathlib.Path(where) / "config"
        config.write_text(f"connector.unix.path = {where}/socket\n")
        config.chmod(0o644)
        print(f"TAP version 13\n1..{len(plugins)}")
        failed = False
        for number, plugin in enumerate(plugins, 1):
            copy = pathlib.Path(where) / plugin.name
            copy.write_bytes(plugin.read_bytes())
            copy.chmod(0o644)
            if plugin.name.startswith("libaioduct-rt-"):
                variables = {"AIODUCT_RUNTIME": str(copy)}
            else:
                variables = {"AIODUCT_RUNTIME": "epoll", "AIODUCT_CONNECTOR": str(copy)}
            if plugin.name == "libaioduct-cx-unix.so":
                tcp_url, variables["AIODUCT_CONFIG"] = "http://127.0.0.1:1/", str(config)
            else:
                tcp_url = url
            made = fetch(command, tcp_url, **variables)
            said = made.stderr.decode(errors="replace")
            fine = made.returncode == 0 and made.stdout == PAGE and str(copy) in said
            print("ok" if fine else "not ok", number, "-", f"a page comes through {plugin.name} of {directory.name}")
            if not fine:
                failed = True
                print(f"# status {made.returncode}, {made.stdout!r}")
                for line in said.split("\n"):
                    print("#", line)
        tcp.close()
        unix.close()
    return failed


sys.exit(main())

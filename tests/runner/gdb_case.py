# SPDX-License-Identifier: MIT
"""examples/run --gdb: the machine waits for a debugger, shows it the kernel, and runs when it is told to."""

import socket
import subprocess
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port, patience):
    """The debugger's connection, tried until the machine listens."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=30)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def command(link, text):
    """One packet of the remote serial protocol."""
    link.sendall(b"$%s#%02x" % (text, sum(text) & 0xff))


def answer(link):
    """The content of the next packet."""
    data = b""
    while b"#" not in data or len(data) < data.index(b"#") + 3:
        more = link.recv(4096)
        if not more:
            break
        data += more
    link.sendall(b"+")
    return data[data.find(b"$") + 1:data.find(b"#")]


def waits_for_a_debugger(bench):
    """Nothing runs before the debugger says so, then the program runs to its end and its status is the run's."""
    port = free_port()
    words = bench.words(bench.program("status"), "7", options=["--gdb=%d" % port])
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            with connect(port, 60) as link:
                command(link, b"?")
                stopped = answer(link)
                time.sleep(1)
                waited = process.poll() is None
                command(link, b"c")
                _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    wrong = "" if stopped.startswith(b"T") else "the machine does not say that it is stopped: %r\n" % stopped
    wrong += "" if waited else "it did not wait\n"
    wrong += "" if process.returncode == 7 else "status %d, wanted 7: %s\n" % (process.returncode, err.decode(errors="replace")[-2000:])
    return wrong + ("" if b"gdb-multiarch" in err else "it does not say how to connect\n")

# SPDX-License-Identifier: MIT
"""One boot of an example kernel under QEMU: the kernel's side of this is examples/kernel/CHANNELS.md."""

import dataclasses
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

STATUS_TIMEOUT = 124
STATUS_PANIC = 125

_CONSOLE = {
    "x86_64": ["-chardev", "file,id=out,path=stdout", "-device", "isa-debugcon,iobase=0xe9,chardev=out",
               "-chardev", "file,id=err,path=stderr", "-device", "isa-debugcon,iobase=0xea,chardev=err",
               "-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
    "aarch64": ["-semihosting-config", "enable=on,target=native"],
    "riscv": ["-semihosting-config", "enable=on,target=native", "-bios", "default"],
}
_SYSTEM = {"x86_64": "x86_64", "aarch64": "aarch64", "riscv": "riscv64"}
_CPU = {"x86_64": "max", "aarch64": "max", "riscv": "rv64"}
_MACHINE = {"x86_64": "q35", "aarch64": "virt", "riscv": "virt"}
# What QEMU has but keeps off by default.
_RISCV_EXTENSIONS = "svinval=on,svnapot=on,svpbmt=on"
# The last line of OpenSBI's banner, which shares the console with the kernel's log.
_BANNER_END = b"Boot HART MEDELEG"


@dataclasses.dataclass
class Boot:
    isa: str
    kernel: str
    archive: bytes
    words: list
    memory: int = 512  # MiB
    cpu: str = None
    smp: int = 1
    count: bool = False  # one instruction of the guest is one tick of its clocks, exactly
    timeout: float = 60.0
    image: bool = True  # on AArch64, boot the Linux Image beside the ELF file
    gdb: int = 0  # the TCP port to wait on for a debugger; 0: none


@dataclasses.dataclass
class Ending:
    kind: str  # "exit", "signal", "panic", "reset", "timeout"
    value: int = 0
    reason: str = ""

    @property
    def status(self):
        return {"exit": self.value, "signal": 128 + self.value, "timeout": STATUS_TIMEOUT}.get(self.kind, STATUS_PANIC)


def command(boot, directory):
    isa = boot.isa
    machine = _MACHINE[isa]
    cpu = boot.cpu or _CPU[isa]
    if isa == "x86_64" and boot.count:
        machine = "pc"
        cpu = boot.cpu or "qemu64"
    if isa == "riscv" and "," not in cpu and cpu.startswith("rv64"):
        cpu += "," + _RISCV_EXTENSIONS
    line = ["qemu-system-" + _SYSTEM[isa], "-M", machine, "-cpu", cpu, "-m", str(boot.memory), "-smp", str(boot.smp), "-accel", "tcg" + (",thread=multi" if boot.smp > 1 else ""),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-chardev", "file,id=log,path=log", "-serial", "chardev:log"] + _CONSOLE[isa]
    if boot.count:
        line += ["-icount", "shift=0,sleep=off"]
    if boot.gdb:
        line += ["-S", "-gdb", "tcp:127.0.0.1:%d" % boot.gdb]
    kernel = os.path.abspath(boot.kernel)
    if isa == "aarch64" and boot.image and kernel.endswith(".elf"):
        kernel = kernel[:-4] + ".img"  # an ELF file would get neither archive nor device tree
    line += ["-kernel", kernel, "-append", " ".join(boot.words)]
    if boot.archive:
        line += ["-initrd", os.path.join(directory, "archive")]
    return line


class _Log:
    """Splits the log into lines, drops the firmware's banner, and remembers how the kernel said it ended."""

    def __init__(self, isa, each_line):
        self.banner = isa == "riscv"
        self.each_line = each_line
        self.rest = b""
        self.ending = None

    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self._line(line)

    def close(self):
        if self.rest:
            self._line(self.rest)
            self.rest = b""

    def _line(self, raw):
        if self.banner:
            self.banner = not raw.startswith(_BANNER_END)
            return
        line = raw.rstrip(b"\r").decode(errors="replace")
        said = re.fullmatch(r"end: (?:(exit|signal) (\d+)|(panic)(?: (.*))?)", line)
        if said and said[1]:
            self.ending = Ending(said[1], int(said[2]))
        elif said:
            self.ending = Ending("panic", reason=said[4] or "")
        else:
            self.each_line(line)


def run(boot, on_out, on_err, on_log):
    """Boots, hands each stream's bytes (the log's lines) to its function as they come, and returns the Ending. Leaves nothing behind."""
    directory = tempfile.mkdtemp(prefix="libvmem-run.")
    fds = {}
    process = None
    complaints = tempfile.TemporaryFile()
    log = _Log(boot.isa, on_log)
    sinks = {"stdout": on_out, "stderr": on_err, "log": log.feed}
    try:
        for name in sinks:
            os.mkfifo(os.path.join(directory, name))
            # Open for writing too: a pipe that has never had a writer reads as if at its end.
            fds[os.open(os.path.join(directory, name), os.O_RDWR | os.O_NONBLOCK)] = sinks[name]
        if boot.archive:
            with open(os.path.join(directory, "archive"), "wb") as file:
                file.write(boot.archive)
        # Should this process be killed, QEMU goes with it.
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL"] + command(boot, directory), cwd=directory, start_new_session=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=complaints)
        timed_out = _pump(process, fds, None if boot.gdb else time.monotonic() + boot.timeout)
        complaints.seek(0)
        complaint = complaints.read().decode(errors="replace").strip()
        log.close()
        if timed_out:
            return Ending("timeout")
        return log.ending or Ending("reset", reason=complaint or "the machine stopped without a word")
    finally:
        if process:
            process.kill()
            process.wait()
        complaints.close()
        for fd in fds:
            os.close(fd)
        shutil.rmtree(directory, ignore_errors=True)


def _pump(process, fds, deadline):
    """Moves bytes until the process has ended and its pipes are empty. True if the deadline came first."""
    timed_out = False
    ended = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        for fd in [ended, *fds]:
            poll.register(fd, select.POLLIN)
        while True:
            wait = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            ready = {fd for fd, _ in poll.poll(wait)}
            if not ready:
                timed_out = True
                process.send_signal(signal.SIGKILL)
                process.wait()
            for fd, sink in fds.items():
                _drain(fd, sink, whole=ended in ready or timed_out)
            if ended in ready or timed_out:
                return timed_out
    finally:
        os.close(ended)


def _drain(fd, sink, whole):
    while True:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        sink(data)
        if not whole:
            return

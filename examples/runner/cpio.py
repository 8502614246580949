# SPDX-License-Identifier: MIT
"""The initial archive: cpio in the "newc" form (System V Release 4, without checksums)."""


def _entry(number, mode, name, data):
    name = name.encode() + b"\0"
    header = "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X" % (
        number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    head = header.encode() + name
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def archive(files):
    """files: {path: bytes or (bytes, mode)}. Directories are added where a path needs them. Nothing in it depends on the clock or the user."""
    parts = []
    seen = set()
    for path in sorted(files):
        steps = path.split("/")[:-1]
        for i in range(len(steps)):
            directory = "/".join(steps[:i + 1])
            if directory not in seen:
                seen.add(directory)
                parts.append(_entry(len(parts) + 1, 0o040755, directory, b""))
        data, mode = files[path] if isinstance(files[path], tuple) else (files[path], 0o755 if path.startswith("bin/") else 0o644)
        parts.append(_entry(len(parts) + 1, 0o100000 | mode, path, data))
    parts.append(_entry(0, 0, "TRAILER!!!", b""))
    return b"".join(parts)

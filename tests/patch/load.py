"""Requests to a program while it is patched: one after the other, each on a connection of its own, none repeated.

A request is tcp PORT TEXT PATTERN, udp PORT TEXT PATTERN, tls PORT TEXT PATTERN, or a command that is run in the root and
must end with 0. TEXT has the escapes of Python.
"""
import shlex
import socket
import ssl
import subprocess
import threading
import time

import roots

PAUSE = 0.01    # seconds between requests
PATIENCE = 5.0  # seconds for an answer

UNVERIFIED = ssl.create_default_context()
UNVERIFIED.check_hostname = False
UNVERIFIED.verify_mode = ssl.CERT_NONE


def ask(kind, port, text, pattern):
    """One request over the network; whether the answer holds the pattern."""
    try:
        if kind == "udp":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
                link.settimeout(PATIENCE)
                link.connect(("127.0.0.1", port))
                link.send(text)
                return pattern in link.recv(65536)
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as link:
            if kind == "tls":
                link = UNVERIFIED.wrap_socket(link)
            link.sendall(text)
            answer = b""
            while pattern not in answer and (part := link.recv(65536)):
                answer += part
            return pattern in answer
    except OSError:
        return False


class Load(threading.Thread):
    """Asks until it is told to stop; then `total`, `failed`, and `gap`: the longest time without a good answer."""

    def __init__(self, root, request):
        super().__init__(daemon=True)
        self.root, self.words = root, shlex.split(request)
        self.stop = threading.Event()
        self.total = self.failed = 0
        self.gap = 0.0

    def once(self):
        kind, *rest = self.words
        if kind in ("tcp", "udp", "tls"):
            port, text, pattern = rest
            return ask(kind, int(port), text.encode().decode("unicode_escape").encode("latin-1"), pattern.encode())
        return subprocess.run(["chroot", self.root, *roots.PROTECTED, *self.words], check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    def run(self):
        good = time.monotonic()
        while not self.stop.is_set():
            answered = self.once()
            now = time.monotonic()
            self.total += 1
            self.failed += not answered
            if answered:
                self.gap = max(self.gap, now - good)
                good = now
            self.stop.wait(PAUSE)
        self.gap = max(self.gap, time.monotonic() - good)

    def end(self):
        self.stop.set()
        self.join()
        return {"requests": self.total, "failed": self.failed, "longest_gap_ms": round(self.gap * 1000)}

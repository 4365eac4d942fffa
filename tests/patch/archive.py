"""The archive as the roots see it: a server on the loopback that keeps what it fetched, and counts what it hands out.

Both sides download through it, so that both are counted alike: the bytes of the bodies. It fetches with apt-helper,
which knows the machine's own addresses, proxies and certificates.
"""
import http.server
import os
import re
import subprocess
import threading
import time

FRESH = 86400  # seconds for which an index of a suite is taken from the store
HELPER = "/usr/lib/apt/apt-helper"


def addresses():
    """The machine's own addresses of the suites, from its apt configuration."""
    lines = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
                            "Created-By: Packages"], check=True, text=True, stdout=subprocess.PIPE).stdout
    found = {}
    for line in lines.splitlines():
        address, suite, component = line.split()
        if component == "main" and re.fullmatch(r"bookworm(-security)?", suite):
            found["security" if suite.endswith("security") else "main"] = address.rstrip("/")
    return found


def settings():
    """What the machine's apt was told of validity: needed where its clock or its archive stands still."""
    dump = subprocess.run(["apt-config", "dump", "Acquire"], check=True, text=True, stdout=subprocess.PIPE).stdout
    return "".join(f"{line}\n" for line in dump.splitlines() if line.startswith("Acquire::Check-"))


class Archive:
    """The server: `url` is its address, `served` the bytes that it has handed out so far, `fetched` those from afar."""

    def __init__(self, store):
        self.store = store
        self.sources = addresses()
        if set(self.sources) != {"main", "security"}:
            raise SystemExit("patch-bench: the machine's apt knows no bookworm and bookworm-security archive; add both "
                             "to /etc/apt/sources.list and run apt-get update")
        self.settings = settings()
        self.served = self.fetched = 0
        self.guard = threading.Lock()
        self.names = {}
        os.makedirs(store, exist_ok=True)
        archive = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                archive.answer(self)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def line(self, name):
        suite = "bookworm" + ("-security" if name == "security" else "")
        return f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {self.url}/{name} {suite} main\n"

    def get(self, path):
        """The file that holds this path of the archive, or None."""
        source, _, rest = path.lstrip("/").partition("/")
        if source not in self.sources or ".." in path:
            return None
        kept = os.path.join(self.store, source, rest)
        with self.guard:
            lock = self.names.setdefault(path, threading.Lock())
        with lock:
            stale = "/by-hash/" not in rest and "/dists/" in f"/{rest}"
            if os.path.exists(kept) and not (stale and time.time() - os.path.getmtime(kept) > FRESH):
                return kept
            os.makedirs(os.path.dirname(kept), exist_ok=True)
            got = subprocess.run([HELPER, "download-file", f"{self.sources[source]}/{rest}", f"{kept}.new"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            if got.returncode == 0:
                os.rename(f"{kept}.new", kept)
                os.utime(kept)
                self.fetched += os.path.getsize(kept)
            return kept if os.path.exists(kept) else None

    def answer(self, request):
        kept = self.get(request.path)
        request.send_response(200 if kept else 404)
        request.send_header("Content-Length", str(os.path.getsize(kept)) if kept else "0")
        request.end_headers()
        if not kept:
            return
        with open(kept, "rb") as body:
            while part := body.read(1 << 16):
                request.wfile.write(part)
                with self.guard:
                    self.served += len(part)

"""Roots to be patched: one base, a layer for each package of the table, and over these an instance for each run.

An instance is what a container is: an overlay whose writable layer begins empty. All instances lie on a file system of
their own, in one file, so that what a run takes can be read off its free blocks.
"""
import hashlib
import os
import shutil
import subprocess

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CLEAN = ["env", "-i", PATH, "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
SHIM = "/usr/local/lib/libpinion.so"
LOG = "/var/log/pinion.log"
PROTECTED = [*CLEAN, f"LD_PRELOAD={SHIM}", f"PINION_LOG={LOG}"]
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9)}
DISK = 6 << 30


def run(*command, **options):
    """What a command prints; a failure shows that, and what it said."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
    if done.returncode:
        raise SystemExit(f"patch-bench: {' '.join(command)[:200]}: status {done.returncode}\n"
                         f"{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def overlay(lower, place):
    """Mounts an overlay with its parts below `place`; returns where it can be seen."""
    for part in ("upper", "work", "root"):
        os.makedirs(os.path.join(place, part), exist_ok=True)
    root = os.path.join(place, "root")
    run("mount", "-t", "overlay", "overlay", root, "-o",
        f"lowerdir={':'.join(lower)},upperdir={place}/upper,workdir={place}/work")
    run("mount", "-t", "proc", "proc", f"{root}/proc")
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", f"{root}/dev")
    for name, (major, minor) in DEVICES.items():
        os.mknod(f"{root}/dev/{name}", 0o20666, os.makedev(major, minor))
        os.chmod(f"{root}/dev/{name}", 0o666)
    os.mkdir(f"{root}/dev/shm")
    os.chmod(f"{root}/dev/shm", 0o1777)
    os.symlink("/proc/self/fd", f"{root}/dev/fd")
    return root


class Roots:
    """Bases, layers and instances. `place` is kept between runs."""

    def __init__(self, place, archive, say):
        self.place, self.archive, self.say = place, archive, say
        self.base = os.path.join(place, "base")
        self.disk = os.path.join(place, "disk")

    def make_disk(self):
        image = f"{self.disk}.img"
        with open(image, "wb") as file:
            file.truncate(DISK)
        run("mkfs.ext4", "-q", "-F", "-m", "0", image)
        os.makedirs(self.disk, exist_ok=True)
        run("mount", "-o", "loop", image, self.disk)

    def make_base(self):
        """Bookworm from the main archive alone."""
        if os.path.exists(f"{self.base}/etc/apt/sources.list"):
            return
        self.say("making the base from the main archive")
        shutil.rmtree(f"{self.base}.new", ignore_errors=True)
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        run("mmdebstrap", "--quiet", "--variant=minbase", "--format=directory", "bookworm", f"{self.base}.new",
            self.archive.line("main").strip(), env=environment)
        write(f"{self.base}.new/etc/apt/apt.conf.d/90machine", self.archive.settings)
        write(f"{self.base}.new/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
        os.chmod(f"{self.base}.new/usr/sbin/policy-rc.d", 0o755)
        os.rename(f"{self.base}.new", self.base)

    def sources(self, root, *names):
        write(f"{root}/etc/apt/sources.list", "".join(self.archive.line(name) for name in names))

    def make_layer(self, row):
        """What the row installs and prepares, from the main archive alone; made once."""
        layer = os.path.join(self.place, "layers", row.name)
        key = hashlib.sha256(repr((row.install, row.prepare)).encode()).hexdigest()
        if os.path.exists(f"{layer}/key") and open(f"{layer}/key", encoding="utf-8").read() == key:
            return
        self.say(f"{row.name}: installing {row.install}")
        shutil.rmtree(layer, ignore_errors=True)
        root = overlay([self.base], layer)
        try:
            self.sources(root, "main")
            quick = ["-q", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-unsafe-io"]
            run("chroot", root, *CLEAN, "apt-get", "-q", "update")
            run("chroot", root, *CLEAN, "apt-get", *quick, "install", *row.install.split())
            run("chroot", root, *CLEAN, "sh", "-ec", row.prepare or "true")
            # So that no run waits for an archive far away: all that an upgrade will ask for is fetched once.
            self.sources(root, "main", "security")
            run("chroot", root, *CLEAN, "apt-get", "-q", "update")
            run("chroot", root, *CLEAN, "apt-get", *quick, "--download-only", "upgrade")
            run("chroot", root, *CLEAN, "sh", "-ec", "apt-get clean; rm -rf /var/lib/apt/lists/* /run/* /tmp/* "
                "/usr/sbin/policy-rc.d; "
                "mkdir -m 1777 /run/lock")
        finally:
            run("umount", "--recursive", root)
        write(f"{layer}/key", key)

    def instance(self, row, side):
        """A fresh root; its sources know the security archive."""
        place = os.path.join(self.disk, f"{row.name}-{side}")
        root = overlay([os.path.join(self.place, "layers", row.name, "upper"), self.base], place)
        self.sources(root, "main", "security")
        return root

    def remove(self, root):
        run("umount", "--recursive", root)
        shutil.rmtree(os.path.dirname(root))

    def used(self):
        """Bytes that the instances take on their disk."""
        state = os.statvfs(self.disk)
        return (state.f_blocks - state.f_bfree) * state.f_frsize


def tree_bytes(root):
    """Bytes of all blocks of a root, as if it lay in a directory of its own: files that an upgrade replaces count once."""
    seen, total, device = set(), 0, os.lstat(root).st_dev
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            state = os.lstat(os.path.join(folder, name))
            if state.st_ino not in seen:
                seen.add(state.st_ino)
                total += state.st_blocks * 512
        folders[:] = [name for name in folders if os.lstat(os.path.join(folder, name)).st_dev == device]
    return total


def versions(root):
    """Installed packages with their versions."""
    lines = run("dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show", "--showformat",
                "${db:Status-Abbrev}\t${Package}\t${Version}\n")
    return {name: version for state, name, version in (line.split("\t") for line in lines.splitlines())
            if state.startswith("ii")}

"""What an operation costs: its memory, by a control group that holds all of it, its time, and its disk.

Memory is the peak of a fresh memory control group (memory.max_usage_in_bytes, or memory.peak in version 2) into which the
operation's first process is put: all its processes with what they map, the pages of all files that it reads or writes
for the first time, and the kernel's objects on its behalf. Caches are dropped before, so that files that were read by
somebody else do not come for free. Beside it the peak of its anonymous memory alone, sampled.
"""
import errno
import fcntl
import os
import subprocess
import tempfile
import threading
import time

PERIOD = 0.01
NAME = "pinion-patch-bench"


def hierarchy():
    """Where groups that account memory can be made: (directory, file of the peak, anonymous memory in memory.stat)."""
    with open("/proc/mounts", encoding="utf-8") as mounts:
        lines = [line.split() for line in mounts]
    for _, place, kind, options, *_ in lines:
        if kind == "cgroup" and "memory" in options.split(","):
            return place, "memory.max_usage_in_bytes", "total_rss"
    for _, place, kind, *_ in lines:
        if kind == "cgroup2" and "memory" in open(f"{place}/cgroup.controllers", encoding="utf-8").read().split():
            return place, "memory.peak", "anon"
    raise SystemExit("patch-bench: no memory control groups here; in a container: start it with --privileged "
                     "--cgroupns=host and /sys/fs/cgroup writable")


class Groups:
    """The control groups of this bench; a context that removes them."""

    def __init__(self):
        self.place, self.peak_file, self.anonymous = hierarchy()
        self.root = os.path.join(self.place, NAME)

    def __enter__(self):
        # Another one's groups would be taken for what an earlier run has left, and its caches dropped.
        self.lock = open("/run/lock/pinion-patch-bench", "w", encoding="utf-8")  # held to the end
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("patch-bench: another one runs on this machine: wait for it") from None
        self.remove_all()
        os.mkdir(self.root)
        if self.peak_file == "memory.peak":
            for place in (self.place, self.root):
                with open(f"{place}/cgroup.subtree_control", "w", encoding="utf-8") as control:
                    control.write("+memory")
        return self

    def __exit__(self, *error):
        self.remove_all()

    def remove_all(self):
        if os.path.isdir(self.root):
            for name in os.listdir(self.root):
                if os.path.isdir(f"{self.root}/{name}"):
                    self.remove(name)
            os.rmdir(self.root)

    def make(self, name):
        os.mkdir(f"{self.root}/{name}")

    def members(self, name):
        with open(f"{self.root}/{name}/cgroup.procs", encoding="utf-8") as processes:
            return [int(process) for process in processes.read().split() if process != "0"]

    def end(self, name, sign, seconds):
        """Sends a signal to all processes of a group; whether they are gone within this time."""
        limit = time.monotonic() + seconds
        for process in self.members(name):
            try:
                os.kill(process, sign)
            except ProcessLookupError:
                pass
        while self.members(name) and time.monotonic() < limit:
            time.sleep(0.01)
        return not self.members(name)

    def remove(self, name):
        """Of processes in another process namespace the group shows nothing; it is only busy until they have ended."""
        limit = time.monotonic() + 10
        while True:
            self.end(name, 9, 10)
            try:
                return os.rmdir(f"{self.root}/{name}")
            except OSError as problem:
                if problem.errno != errno.EBUSY or time.monotonic() > limit:
                    raise SystemExit(f"patch-bench: processes of {self.root}/{name} do not end") from problem
            time.sleep(0.1)

    def start(self, name, command, **options):
        """Starts a command inside a group, from its first instruction on."""
        def enter():
            with open(f"{self.root}/{name}/cgroup.procs", "w", encoding="utf-8") as processes:
                processes.write("0")
        return subprocess.Popen(command, preexec_fn=enter, stdin=subprocess.DEVNULL, **options)

    def peak(self, name):
        with open(f"{self.root}/{name}/{self.peak_file}", encoding="utf-8") as file:
            return int(file.read())

    def anonymous_now(self, name):
        with open(f"{self.root}/{name}/memory.stat", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.split()[0] == self.anonymous)


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="utf-8") as control:
        control.write("3")


def run_in(groups, name, command, output, timeout):
    process = groups.start(name, command, stdout=output, stderr=subprocess.STDOUT)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        output.write(f"\n(killed after {timeout} s)")
        return process.wait()


def measure(groups, name, commands, used, timeout, shared=False):
    """Runs commands, one after the other, in a group of their own, and returns (status, output, what they cost). `used`
    tells the disk's blocks. "memory_first" is the peak when the first of them had ended. A `shared` group has another
    program in it all the while."""
    drop_caches()
    groups.make(name)
    other = groups.start(name, ["sleep", "infinity"]) if shared else None
    before, most, over = used(), {"anonymous": 0, "disk": 0}, threading.Event()

    def sample():
        while not over.wait(PERIOD):
            most["anonymous"] = max(most["anonymous"], groups.anonymous_now(name))
            most["disk"] = max(most["disk"], used() - before)

    sampler = threading.Thread(target=sample)
    sampler.start()
    first = 0
    # Into a file: a pipe would stay open as long as a program that was restarted has it.
    with tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace") as output:
        begun = time.monotonic()
        try:
            for command in commands:
                status = run_in(groups, name, command, output, timeout)
                first = first or groups.peak(name)
                if status:
                    break
        finally:
            seconds = time.monotonic() - begun
            over.set()
            sampler.join()
            if other:
                other.kill()
                other.wait()
        output.seek(0)
        text = output.read()
    os.sync()
    return status, text, {
        "seconds": round(seconds, 2), "memory": groups.peak(name), "memory_first": first,
        "anonymous": most["anonymous"], "disk_untidied": used() - before,
        "disk_peak": max(most["disk"], used() - before)}

"""What a process can be shut out of on this machine: Linux namespaces, a file tree of its own, user ids and limits.

Everything here runs in a freshly forked child. Python 3.11 has no ``os.unshare`` and no ``os.mount``, so the C library is called.
"""

from __future__ import annotations

import ctypes
import os
import resource
import site
import stat
import sys
from pathlib import Path

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
KEPT_FLAGS = ((8, MS_NOEXEC), (1024, 1024), (2048, 2048), (4096, 1 << 21))  # of statvfs and of mount: noexec, noatime, nodiratime, relatime
PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 24, 36, 38
HOME = "/home/student"
MODES = ("full", "user", "plain")


def _call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _mount(what, where, kind, flags, options=""):
    _call("mount", *(text.encode() if text is not None else None for text in (what, where, kind)), ctypes.c_ulong(flags), options.encode())


def separate(mode: str) -> None:
    """Leave the machine's namespaces; the next child forked is the first process of its own.

    "full" needs root, "user" a kernel that lets users make namespaces, "plain" nothing (and does nothing).

    Raises
    ------
    OSError : if the kernel refuses
    """
    if mode == "plain":
        return
    user, group = os.getuid(), os.getgid()
    _call("unshare", CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | (CLONE_NEWUSER if mode == "user" else 0))
    if mode == "user":
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def enclose(folder: str, owner: int, megabytes: int) -> None:
    """Make the file tree of this process one that holds the system, Python and the helper package, read-only, and an empty home.

    `folder` is an empty folder on which the tree is mounted, `owner` the id that the home belongs to.
    """
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    _mount("tree", folder, "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,mode=755")
    shown: list[str] = []
    for name in ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc"):
        path = f"/{name}"
        if os.path.islink(path):
            os.symlink(os.readlink(path), folder + path)
        elif os.path.isdir(path):
            _show(path, folder, shown)
    # Scratch first: Python itself may lie below /tmp, and is then shown inside it.
    size = f"size={megabytes}m,nr_inodes=20000"
    for path, options in (("/tmp", "mode=1777"), ("/dev/shm", "mode=1777"), (HOME, f"mode=700,uid={owner},gid={owner}")):
        os.makedirs(folder + path)
        _mount("scratch", folder + path, "tmpfs", MS_NOSUID | MS_NODEV, f"{size},{options}")
    for path in python_folders():
        _show(path, folder, shown)
    for name in ("null", "zero", "full", "random", "urandom"):
        Path(f"{folder}/dev/{name}").touch()
        _mount(f"/dev/{name}", f"{folder}/dev/{name}", None, MS_BIND)
    os.makedirs(folder + "/var")
    os.symlink("/tmp", folder + "/var/tmp")
    os.mkdir(folder + "/proc")
    try:
        _mount("proc", folder + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except OSError:
        pass  # a container that hides parts of /proc forbids a fresh one; then there is none
    _mount(None, folder, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID)
    os.chroot(folder)
    os.chdir(HOME)


def python_folders() -> list[str]:
    """The folders that this interpreter and the helper package need, outermost first."""
    import unlabeled

    places = {sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(unlabeled.__file__).parent), *site.getsitepackages(), os.path.dirname(os.path.realpath(sys.executable))}
    if site.ENABLE_USER_SITE and os.path.isdir(site.getusersitepackages()):
        places.add(site.getusersitepackages())
    return sorted((place for place in map(os.path.abspath, places) if place != "/" and os.path.isdir(place)), key=lambda place: place.count("/"))


def _show(path, folder, shown):
    """Bind `path`, read-only, at its own place below `folder`."""
    if any(path == other or path.startswith(other + "/") for other in shown):
        return
    os.makedirs(folder + path, exist_ok=True)
    _mount(path, folder + path, None, MS_BIND | MS_REC)
    flags = os.statvfs(path).f_flag
    kept = sum(mount for shown_flag, mount in KEPT_FLAGS if flags & shown_flag)
    _mount(None, folder + path, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | kept)
    shown.append(path)


def limit(seconds: int, memory: int, files: int) -> None:
    """Bound this process and its children: CPU seconds, bytes of memory beyond what it has now, bytes of a file, and their number."""
    with open("/proc/self/statm") as file:
        present = int(file.read().split()[0]) * resource.getpagesize()
    for kind, most in (
        (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, present + memory), (resource.RLIMIT_FSIZE, files), (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def drop(uid: int | None, processes: int) -> None:
    """Become the user `uid` for good (None: stay who this is, without capabilities), who may have `processes` processes and threads."""
    # The limit counts what the user already runs, so a user who stays himself gets it on top.
    own = 0 if uid is not None else sum(1 for _ in _processes_of(os.getuid()))
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    most = processes + 4 * own
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    for capability in range(64):
        try:
            _call("prctl", PR_CAPBSET_DROP, capability, 0, 0, 0)
        except OSError:
            break  # past the last one, or not allowed
    if uid is not None:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    _call("capset", ctypes.byref(header), ctypes.byref(nothing))
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _processes_of(uid):
    """Ids of the processes whose real user is `uid`."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/status") as file:
                    line = next((line for line in file if line.startswith("Uid:")), "")
            except OSError:
                continue
            if line.split()[1:2] == [str(uid)]:
                yield int(name)


def kill_user(uid: int) -> None:
    """Kill everything that the user `uid` runs, until nothing is left (root only)."""
    for _ in range(50):
        found = list(_processes_of(uid))
        living = [pid for pid in found if not _is_zombie(pid)]
        for pid in living:
            try:
                os.kill(pid, 9)
            except OSError:
                pass
        if not living:
            return


def _is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except (OSError, IndexError):
        return True


def family() -> dict[int, int]:
    """All processes that descend from this one, and how many bytes of memory each holds (shared ones counted for each)."""
    parents, pages = {}, {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    words = file.read().rpartition(")")[2].split()
                parents[int(name)], pages[int(name)] = int(words[1]), int(words[21])
            except (OSError, IndexError, ValueError):
                continue
    found, grown = {os.getpid()}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        grown = bool(more)
        found |= more
    return {pid: pages.get(pid, 0) * resource.getpagesize() for pid in found - {os.getpid()}}


def adopt() -> None:
    """Become the parent of all that descends from here, also of what its own parent has left."""
    _call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_family() -> None:
    """Kill all that descends from this process, until nothing is left (or only what cannot be killed)."""
    for _ in range(50):
        living = [pid for pid in family() if not _is_zombie(pid)]
        for pid in living:
            try:
                os.kill(pid, 9)
            except OSError:
                continue
        if not living:
            return


def close_all_but(*kept: int) -> None:
    """Close every descriptor but `kept` and point the standard ones at nothing."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                continue
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        if number != null:
            os.dup2(null, number)
    if null > 2:
        os.close(null)


def raise_loopback() -> None:
    """Bring up `lo` in this network namespace, so that a program may talk to itself."""
    import fcntl
    import socket
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 1 | 64))  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING


def is_private(path: Path) -> bool:
    """Whether nobody but its owner can enter or read `path`."""
    return not stat.S_IMODE(path.stat().st_mode) & 0o077

"""Set up what the book needs: a virtual environment where none is active, and the pinned
requirements in it.

Runs under whatever Python starts it, so it uses the standard library alone and no new syntax.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
# the pins of requirements.txt have builds for these and all between
OLDEST, NEWEST = (3, 11), (3, 13)
WORKING = "Python %d.%d to %d.%d" % (OLDEST + NEWEST)
# in an environment that this script has made; no other is ever removed
MADE = ".made-by-make-setup"
INSTALLED = ".unlabeled-requirements"  # the stamp of what was installed
ENTRIES = {"bin", "etc", "include", "lib", "lib64", "man", "pyvenv.cfg", "share", ".gitignore"}
OFFLINE = (
    "temporary failure",
    "name or service not known",
    "network is unreachable",
    "connection refused",
    "failed to establish",
    "connection broken",
    "newconnectionerror",
    "nameresolutionerror",
    "timed out",
    "proxyerror",
    "nodename nor servname",
    "connection error",
    "connectionerror",
)
# What the user has set for other Pythons, and what makes pip install elsewhere or nowhere;
# PYTHONHOME and its like too.
MISLEADING = (
    "PIP_TARGET",
    "PIP_USER",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_DRY_RUN",
    "PIP_QUIET",
    "PIP_LOG",
)
ASK = "import sys; print('%d %d %d' % (sys.version_info[:2] + (sys.prefix != sys.base_prefix,)))"


def fail(sentence):
    sys.stderr.write(sentence + "\n")
    sys.exit(1)


def stamp():
    """Hash of all that decides what must be installed."""
    digest = hashlib.sha256(sys.version.encode())
    for name in ("requirements.txt", "pyproject.toml"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def run(*command):
    """(exit code, output) of a command; a program that cannot be started has the code 127."""
    surroundings = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("PYTHON") and key not in MISLEADING
    }
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=surroundings
        )
    except OSError as error:
        return 127, str(error)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def pip(python, made, *arguments):
    """Run pip; on failure remove the environment that this call has `made` ("" if none), say what
    to do, and leave.
    """
    code, text = run(
        python,
        "-m",
        "pip",
        "install",
        "--progress-bar",
        "off",
        "--disable-pip-version-check",
        *arguments,
    )
    if code == 0:
        return
    found = re.search("no matching distribution found for ([^ \n]+)", text.lower())
    if found:
        # Only here does pip say whether the index answered at all.
        text += run(
            python,
            "-m",
            "pip",
            "install",
            "-vv",
            "--no-deps",
            "--disable-pip-version-check",
            "--dry-run",
            found.group(1),
        )[1]
    why = reason(text, python)
    try:
        log = os.path.join(ROOT, "build", "logs", "install.log")
        os.makedirs(os.path.dirname(log), exist_ok=True)
        with open(log, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        why = why or "pip stopped (" + " ".join(text.split())[-200:] + "): mend the cause"
    if made:
        remove(made)
    why = why or "pip stopped: see build/logs/install.log, mend the cause"
    fail("Set-up failed, " + why + " and run the same command again.")


def reason(text, python):
    """Why pip failed and what to do, as the middle of a sentence; "" if its words do not tell."""
    text = text.lower()
    if any(sign in text for sign in OFFLINE):
        return "the package index cannot be reached: connect to the network"
    if "no space left" in text:
        return "the disk is full: make room"
    if "no matching distribution" in text or "requires a different python" in text:
        found = "Python " + ".".join(run(python, "-c", ASK)[1].split()[:2])
        return (
            "the package index has no build of a requirement for %s on this machine: install one of"
            " %s, set PYTHON to it" % (found, WORKING)
        )
    return ""


def remove(folder):
    """Remove an environment that this script has made and that holds nothing else; return whether
    that was so.
    """
    if os.path.islink(folder) or not os.path.isfile(os.path.join(folder, MADE)):
        return False
    if set(os.listdir(folder)) - ENTRIES - {MADE, INSTALLED}:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def make(folder, named):
    """Make a virtual environment at `folder`, which has none that works; what was not made here is
    left as it is.
    """
    if os.path.lexists(folder):
        empty = os.path.isdir(folder) and not os.path.islink(folder) and not os.listdir(folder)
        if not empty and not remove(folder):
            what = "has no Python that works" if os.path.isdir(folder) else "is no folder"
            instead = (
                "unset VIRTUAL_ENV, or point it at a virtual environment"
                if named
                else "move it away"
            )
            fail(
                "%s %s and was not made by this set-up, so it is left as it is: %s, and run the"
                " same command again."
                % (("VIRTUAL_ENV points at %s, which" % folder) if named else folder, what, instead)
            )
    print("Making the virtual environment %s ..." % os.path.relpath(folder, ROOT))
    sys.stdout.flush()
    try:
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, MADE), "w") as file:
            file.write(
                "`make setup` has made this folder and may remove it: keep nothing of your own in"
                " it.\n"
            )
    except OSError as error:
        instead = "unset VIRTUAL_ENV" if named else "copy the book to where you may write"
        fail(
            "The virtual environment %s cannot be made (%s): %s, and run the same command again."
            % (folder, error.strerror, instead)
        )
    code, text = run(sys.executable, "-m", "venv", folder)
    if code:
        remove(folder)
        fail(
            "Python cannot make a virtual environment: install its venv module (on Debian:"
            " python3-venv) and run the same command again."
        )


def works(folder, python):
    """Whether `folder` holds a virtual environment whose Python runs; leaves if it runs and will
    not do.
    """
    code, text = run(python, "-c", ASK)
    if code or len(text.split()) != 3:
        return False
    major, minor, virtual = map(int, text.split())
    if not virtual:
        fail(
            "VIRTUAL_ENV points at %s, which is no virtual environment but the Python of all: unset"
            " VIRTUAL_ENV and run the same command again." % folder
        )
    if (major, minor) < OLDEST:
        fail(
            "The virtual environment %s has Python %d.%d: deactivate it, or make one with one"
            " of %s." % (folder, major, minor, WORKING)
        )
    return True


def main():
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character shows another
    if sys.version_info < OLDEST:
        fail(
            "Python %d.%d is too old for this book: install one of %s and run make with"
            " PYTHON=python%d.%d." % (sys.version_info[:2] + (WORKING,) + OLDEST)
        )
    named = bool(os.environ.get("VIRTUAL_ENV"))
    folder = os.path.abspath(os.environ["VIRTUAL_ENV"]) if named else os.path.join(ROOT, ".venv")
    python = os.path.join(folder, "bin", "python")
    mark = os.path.join(folder, INSTALLED)
    wanted = stamp()
    there = works(folder, python)
    if there and os.path.exists(mark):
        with open(mark) as file:
            if file.read() == wanted:
                return
    if not there:
        make(folder, named)
    made = "" if there else folder
    requirements = os.path.join(ROOT, "requirements.txt")
    with open(requirements) as file:
        torch = [line.strip() for line in file if line.startswith("torch==")]
    print("Installing PyTorch (1 of 3) ...")
    sys.stdout.flush()
    pip(python, made, *torch)  # first and alone: what follows then takes this build and no other
    print("Installing the book's tools (2 of 3) ...")
    sys.stdout.flush()
    pip(python, made, "-r", requirements)
    print("Installing the helper package (3 of 3) ...")
    sys.stdout.flush()
    pip(python, made, "--no-deps", "--no-build-isolation", "-e", ROOT)
    try:
        with open(mark, "w") as file:
            file.write(wanted)
    except OSError as error:
        fail(
            "The environment %s cannot be written (%s): unset VIRTUAL_ENV and run the same command"
            " again." % (folder, error.strerror)
        )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        fail("Set-up was interrupted: run the same command again to go on.")

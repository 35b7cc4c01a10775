"""Set up what the book needs: a virtual environment where none is active, and the pinned requirements in it.

Runs under whatever Python starts it, so it uses the standard library alone and no new syntax.
"""

import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
OLDEST = (3, 11)


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


def pip(python, made, *arguments):
    """Run pip quietly; on failure remove the environment that this call has `made` ("" if none), say what to do, and leave."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"] + list(arguments)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    if done.returncode == 0:
        return
    log = os.path.join(ROOT, "build", "logs", "install.log")
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "w") as file:
        file.write(done.stdout + done.stderr)
    if made:
        shutil.rmtree(made, ignore_errors=True)
    text = (done.stdout + done.stderr).lower()
    offline = any(sign in text for sign in (
        "temporary failure", "name or service not known", "network is unreachable", "connection refused", "failed to establish",
        "connection broken", "newconnectionerror", "nameresolutionerror", "timed out", "from versions: none", "proxyerror", "nodename nor servname",
    ))
    why = "the package index cannot be reached: connect to the network" if offline else "pip stopped: see build/logs/install.log, mend the cause"
    fail("Set-up failed, " + why + " and run the same command again.")


def main():
    if sys.version_info < OLDEST:
        fail("Python %d.%d is too old for this book: install Python %d.%d or newer and run make with PYTHON=python%d.%d." % (sys.version_info[:2] + OLDEST + OLDEST))
    active = os.environ.get("VIRTUAL_ENV")
    folder = active or os.path.join(ROOT, ".venv")
    python = os.path.join(folder, "bin", "python")
    if active and os.path.exists(python):
        version = subprocess.run([python, "-c", "import sys; print('%d %d' % sys.version_info[:2])"], stdout=subprocess.PIPE, universal_newlines=True).stdout.split()
        if tuple(map(int, version)) < OLDEST:
            fail("The active virtual environment has Python %s: deactivate it, or make one with Python %d.%d or newer." % ((".".join(version),) + OLDEST))
    mark = os.path.join(folder, ".unlabeled-requirements")
    wanted = stamp()
    if os.path.exists(mark) and os.path.exists(python):
        with open(mark) as file:
            if file.read() == wanted:
                return
    made = ""
    if not os.path.exists(python):
        made = folder
        print("Making the virtual environment %s …" % os.path.relpath(folder, ROOT))
        sys.stdout.flush()
        shutil.rmtree(folder, ignore_errors=True)
        done = subprocess.run([sys.executable, "-m", "venv", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            fail("Python cannot make a virtual environment: install its venv module (on Debian: python3-venv) and run the same command again.")
    requirements = os.path.join(ROOT, "requirements.txt")
    with open(requirements) as file:
        torch = [line.strip() for line in file if line.startswith("torch==")]
    print("Installing PyTorch (1 of 3) …")
    sys.stdout.flush()
    pip(python, made, *torch)  # first and alone: what follows then takes this build and no other
    print("Installing the book's tools (2 of 3) …")
    sys.stdout.flush()
    pip(python, made, "-r", requirements)
    print("Installing the helper package (3 of 3) …")
    sys.stdout.flush()
    pip(python, made, "--no-deps", "--no-build-isolation", "-e", ROOT)
    with open(mark, "w") as file:
        file.write(wanted)


if __name__ == "__main__":
    main()

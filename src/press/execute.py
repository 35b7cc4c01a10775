"""Run a chapter's notebook by papermill, keep what came of it, and say how far it is."""

from __future__ import annotations

import datetime
import importlib.metadata
import logging
import os
import platform
import resource
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

from press import reference
from press.dependencies import run_hash
from press.errors import PressError
from press.source import PARAMETERS, Chapter, is_aside
from press.surroundings import entered

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch")
TIMEOUT = {"quick": 600, "full": None}  # seconds for one cell


def run(chapter: Chapter, asked: dict) -> dict:
    """Execute `chapter` with the parameters `asked` (those that differ from the notebook's own),
    and keep notebook and record.

    Both lie where `Chapter.run` and `Chapter.kept` say. The notebook carries what the run cost and
    on what it ran in ``metadata.run``. The negative control leaves out the cells of asides. Nothing
    is kept unless every cell went through and the ledger makes a valid record.

    Returns
    -------
    the record

    Raises
    ------
    PressError : if a cell fails; the notebook with its traceback then lies in build/failed
    """
    import nbformat
    import papermill

    from press import records

    parameters, target = asked, chapter.run(**asked)

    profile = parameters.get("profile", PARAMETERS["profile"])
    name = chapter.name + (" (control)" if parameters.get("control") else "")
    failed = chapter.root / "build/failed" / target.relative_to(chapter.root / "build")
    failed.unlink(missing_ok=True)  # of an earlier run: nobody shall be sent to it
    failed.parent.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    key = run_hash(chapter, asked)
    given = nbformat.read(chapter.notebook, as_version=4)
    if parameters.get("control"):
        given.cells = [cell for cell in given.cells if not is_aside(cell)]
    nbformat.write(given, failed)
    measured = reference.work()
    begun, before = time.monotonic(), _cpu()
    watch = _Watch(name, given.cells)
    try:
        with (
            watch,
            entered(chapter.root, profile),
            _kernel_messages(chapter),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            logging.getLogger("papermill").setLevel(logging.CRITICAL)
            papermill.execute_notebook(
                _literal(failed),
                _literal(failed),
                parameters=parameters or None,
                kernel_name="python3",
                progress_bar=False,
                execution_timeout=TIMEOUT.get(profile),
                cwd=str(chapter.root / "build/home/work"),
                log_output=False,
                coalesce_streams=True,
            )
    except papermill.PapermillExecutionError as error:
        raise PressError(
            _stopped(name, error, parameters, failed.relative_to(chapter.root))
        ) from None
    except KeyboardInterrupt:
        raise PressError(
            f"{name} was interrupted, and nothing of it was kept: run the same command again."
        ) from None
    except PressError:
        raise
    except Exception as error:  # a time-out, a kernel that died: papermill has many ways to say so
        reason = " ".join(str(error).split())[:300]
        where = failed if failed.is_file() else log(chapter)
        raise PressError(
            f"{name} could not be run ({type(error).__name__}: {reason.rstrip('.')}): see"
            f" {where.relative_to(chapter.root)}, and run the same command again."
        ) from None
    cpu_seconds, wall = _cpu() - before, time.monotonic() - begun
    measured += reference.work()
    notebook = nbformat.read(failed, as_version=4)
    _strip(notebook)
    cost = notebook.metadata["run"] = dict(
        seconds=round(wall, 1),
        cpu_seconds=round(cpu_seconds, 1),
        reference_seconds=round(reference.seconds(cpu_seconds, measured), 1),
        peak_mb=round(
            resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            / (2**20 if sys.platform == "darwin" else 2**10)
        ),
        device=device(profile),
        packages={"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in PACKAGES},
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        run_hash=key,
    )
    nbformat.write(notebook, failed)
    target.unlink(missing_ok=True)  # with the record below, or not at all
    record = records.collect(chapter, failed, chapter.kept(**asked))
    failed.replace(target)
    print(
        f"{name}: done in {cost['seconds']:.0f} s ({cost['cpu_seconds']:.0f} CPU-seconds, "
        f"{cost['reference_seconds']:.0f} on the reference, {cost['peak_mb']} MB)",
        flush=True,
    )
    return record


def _stopped(name, error, parameters, notebook):
    """What a cell that failed means to the one who ran it, in one sentence."""
    said = " ".join(f"{error.evalue}".split())
    if error.ename == "InputError":
        return f"{name} stopped: {said}"
    said = f"{error.ename}: {said}".rstrip(".")[:300]
    if Path(str(parameters.get("dataset", ""))).suffix:
        return (
            f"{name} cannot work with this data and does not foresee it ({said}): compare the file"
            " with what the chapter's page asks for, and if it complies, report the fault with"
            f" {notebook}."
        )
    return (
        f"{name} stopped: {said}; mend the cell [cell {error.cell_index}; all of it in {notebook}]."
    )


def _literal(path):
    # papermill fills parameters into what stands in braces in a path.
    return str(path).replace("{", "{{").replace("}", "}}")


def _cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def log(chapter: Chapter) -> Path:
    """Where the kernel's own messages go."""
    return chapter.root / "build/logs" / f"{chapter.name}.log"


@contextmanager
def _kernel_messages(chapter):
    """Send what the kernel's process itself writes to stderr (notices about its transport) to
    build/logs.
    """
    path = log(chapter)
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(2)
    with open(path, "ab") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def device(profile: str) -> str:
    """What the run computes on, in words."""
    if profile == "full":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    cores = 1 if profile == "quick" else os.cpu_count()
    return f"{platform.machine()} CPU, {cores} thread{'s' if cores > 1 else ''}"


def _strip(notebook):
    # papermill notes times and this machine's paths; neither belongs in what is published or
    # compared.
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "asked"  # papermill draws one
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)


class _Watch:
    """Prints every few seconds how far the run is."""

    def __init__(self, name, cells):
        self.name, self.cells = name, sum(cell.cell_type == "code" for cell in cells)
        self.done = threading.Event()

    def __enter__(self):
        print(f"{self.name}: running {self.cells} code cells …", flush=True)
        self.thread = threading.Thread(target=self._tell, daemon=True)
        self.thread.start()

    def _tell(self):
        begun = time.monotonic()
        while not self.done.wait(15):
            print(f"{self.name}: still running, {time.monotonic() - begun:.0f} s", flush=True)

    def __exit__(self, *_):
        self.done.set()

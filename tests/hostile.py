"""Settings of a user for other work, which must not steer the book or its grader."""

import json


def hostile(folder):
    """All that field reports name, and their neighbours, at once."""

    def write(name, text):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    spec = {
        "argv": ["/bin/false", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
    }
    for place in ("jupyter", "data"):
        write(f"{place}/kernels/python3/kernel.json", json.dumps(spec))
    rc = "text.usetex: True\nfigure.figsize: 1, 1\nsavefig.dpi: 17\naxes.facecolor: red\n"
    write("config/matplotlib/matplotlibrc", rc)
    write("config/snakemake/slurm/config.yaml", "executor: slurm\n")
    write("jupyter-config/jupyter_config.json", '{"KernelManager": {"transport": "nonsense"}}')
    write(
        "ipython/profile_default/startup/00.py",
        "print('good morning')\nimport matplotlib; matplotlib.rcParams['lines.linewidth'] = 9\n",
    )
    write(
        "ipython/profile_default/ipython_config.py",
        "c.InteractiveShell.ast_node_interactivity = 'all'\n",
    )
    write("path/seaborn.py", "raise ImportError('another seaborn')\n")
    write("path/sphinx.py", "raise ImportError('another sphinx')\n")
    write("startup.py", "raise SystemExit('startup')\n")
    return {
        "PYTHONPATH": str(folder / "path"),
        "PYTHONHOME": "/nowhere",
        "PYTHONOPTIMIZE": "2",
        "PYTHONHASHSEED": "123",
        "PYTHONIOENCODING": "ascii",
        "PYTHONUTF8": "0",
        "PYTHONWARNINGS": "error::UserWarning",
        "PYTHONSTARTUP": str(folder / "startup.py"),
        "PYTHONBREAKPOINT": "no.such",
        "PYTHONMALLOC": "malloc",
        "LC_ALL": "tr_TR.ISO-8859-9",
        "LANG": "de_DE.ISO-8859-1",
        "LANGUAGE": "tr",
        "TZ": "Pacific/Kiritimati",
        "MATPLOTLIBRC": str(write("matplotlibrc", rc)),
        "MPLBACKEND": "TkAgg",
        "MPLCONFIGDIR": str(folder / "config/matplotlib"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": "/proc/nowhere",
        "XDG_DATA_HOME": str(folder / "data"),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_PATH": str(folder / "jupyter"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter-config"),
        "JUPYTER_RUNTIME_DIR": "/proc/nowhere",
        "JUPYTER_PLATFORM_DIRS": "0",
        "SNAKEMAKE_PROFILE": "slurm",
        "SNAKEMAKE_OUTPUT_CACHE": "/proc/nowhere",
        "HOME": "/proc",
        "TMPDIR": "/no/such/folder",
        "COLUMNS": "7",
        "TERM": "dumb",
        "FORCE_COLOR": "1",
        "BASH_ENV": str(write("bash_env", "exit 3\n")),
        "OMP_NUM_THREADS": "7",
        "OPENBLAS_NUM_THREADS": "3",
        "SOURCE_DATE_EPOCH": "1",
        "SPHINXOPTS": "-W -b text",
        "PYTEST_ADDOPTS": "--no-such-option",
    }

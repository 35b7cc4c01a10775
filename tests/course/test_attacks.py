"""Attacks on the grader: what a submission may try, each beside a wrong answer, and that none gains
by it.
"""

import json

import pytest
from test_grading import own, with_answer
from tinycourse import ASSIGNMENT, TinyCourse

from course import make
from course.grade import Pool, blank
from course.jail import Limits
from press.errors import PressError

LIMITS = Limits(seconds=30, cell_seconds=4, memory=700 << 20, disk=64 << 20)
SEEDS = {"mean-basic": "1"}
WRONG = "\ndef mean(x):\n    return 2\n"

# Each is put before the answers, which are wrong unless the attack makes them seem right.
ATTACKS = {
    "AssertionError is replaced": (
        "import builtins\nbuiltins.AssertionError = type('Nothing', (Exception,), {})"
    ),
    "asserts are compiled away": (
        "import builtins\nreal = compile\nbuiltins.compile = lambda *a, **k: real(*a, **k |"
        " {'optimize': 2})\nbuiltins.exec = lambda *a: None"
    ),
    "NumPy agrees to everything": (
        "np.isclose = np.allclose = np.array_equal = lambda *a, **k: True\nnp.abs = abs"
    ),
    "another NumPy": (
        "import sys, types\nfake = types.ModuleType('numpy')\nfake.isclose = lambda *a, **k:"
        " True\nsys.modules['numpy'] = fake"
    ),
    "check is replaced": (
        "import unlabeled.exercises\nunlabeled.exercises.check = lambda *a, **k: True"
    ),
    "secret_rng is replaced": (
        "import builtins\nget_ipython().user_ns['secret_rng'] = builtins.secret_rng = lambda name:"
        " np.random.default_rng(0)"
    ),
    "generators are replaced": (
        "np.random.default_rng = lambda *a: type('R', (), {'normal': lambda self, **k: np.full(7,"
        " 2.0)})()"
    ),
    "a process that ends well": (
        "import atexit, os\natexit.register(os._exit, 0)\nraise SystemExit(0)"
    ),
    "the disk is rewritten": (
        "import course.inside, unlabeled, sys, os\nfor place in (course.inside.__file__,"
        " unlabeled.__file__, np.__file__, '/usr/lib/x', '/etc/x', sys.prefix + '/x'):\n    try:\n "
        "       open(place, 'w').write('raise SystemExit')\n        guess ="
        " draw(np.random.default_rng(0), 5)['value'] > 0\n    except OSError:\n        pass"
    ),
    "the session is replaced": (
        "import gc\nfor one in gc.get_objects():\n    if type(one).__name__ == 'Session':\n       "
        " type(one).call = lambda self, **k: {'error': None, 'value': None, 'passed': True,"
        " 'output': ''}\n        type(one).look = lambda self, names: {name: {'value': 'passed',"
        " 'passed': True} for name in names}"
    ),
    "process 1 is killed": (
        "import os, signal\nfor number in (9, 15, 2, 19):\n    os.kill(1, number) if os.getppid()"
        " == 1 else None"
    ),
    "process 1 is traced": (
        "import ctypes, os\nfound = ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)\ntry:\n   "
        " memory = open(f'/proc/{os.getppid()}/mem', 'rb').read(1)\nexcept OSError:\n    memory ="
        " b''\nreached = found == 0 or bool(memory)"
    ),
    "environment and command lines are read": (
        "import glob, os\ntext = b''.join(str(os.environ).encode() for _ in range(1))\n"
        "for path in glob.glob('/proc/*/environ') + glob.glob('/proc/*/cmdline'):\n"
        "    try:\n        text += open(path, 'rb').read()\n    except OSError:\n        pass\n"
        "reached = b'hush' in text or b'COURSE_SECRET' in text"
    ),
    "the channel is written to": (
        "import json, os, struct\nmessage = json.dumps({'error': None, 'value': 2.0, 'output': '',"
        " 'passed': True}).encode()\nfor number in range(3, 64):\n    try:\n       "
        " os.write(number, struct.pack('>Q', len(message)) + message)\n    except OSError:\n       "
        " pass"
    ),
    "a trace function": (
        "import sys, threading\nsys.settrace(lambda *a: None)\nthreading.setprofile(lambda *a:"
        " None)"
    ),
    "something is left for others": (
        "import os, ctypes\nreached = os.path.exists('/tmp/left') or"
        " os.path.exists('/dev/shm/left')\nopen('/tmp/left', 'w').write('guess ="
        " True')\nopen('/dev/shm/left', 'w').write('x')\nctypes.CDLL(None).shmget(4711, 4096,"
        " 0o1666)\nos.makedirs('locked/in'); os.chmod('locked', 0)"
    ),
    "the next finds what was left": (
        "import os\nreached = os.path.exists('/tmp/left') or os.path.exists('/dev/shm/left') or"
        " os.path.exists('locked')"
    ),
}
# Each defines a function that cheats when a test calls it.
FUNCTIONS = {
    "equal to everything": (
        "class Yes(float):\n    __eq__ = __le__ = __ge__ = __lt__ = __gt__ = lambda self, other:"
        " True\n    __hash__ = None\n    __abs__ = __sub__ = __rsub__ = lambda self, *other: self\n"
        "    __bool__ = lambda self: True\ndef mean(x):\n    return Yes(2)"
    ),
    "an array that lies": (
        "class Lie(np.ndarray):\n    def __array_ufunc__(self, *a, **k): return np.True_\n    def"
        " __array_function__(self, *a, **k): return True\ndef mean(x):\n    return"
        " np.array(2.0).view(Lie)"
    ),
    "another value at each look": (
        "class Turns:\n    def __array__(self, *a, **k): return np.array(2.0)\n    def"
        " __float__(self): return 0.0\n    def __eq__(self, other): return True\ndef mean(x):\n   "
        " return Turns()"
    ),
    "frames are read": (
        "import sys\ndef mean(x):\n    frame = sys._getframe()\n    while frame is not None:\n     "
        "   for names in (frame.f_locals, frame.f_globals):\n            for name in ('numbers',"
        " 'secret_rng', 'seeds'):\n                if name in names:\n                    raise"
        " RuntimeError('found ' + name)\n        frame = frame.f_back\n    return 2"
    ),
    "the garbage is searched": (
        "import gc\ndef mean(x):\n    for one in gc.get_objects():\n        if callable(one) and"
        " getattr(one, '__name__', '') in ('secret_rng', '_secret_rng', 'judge'):\n           "
        " raise RuntimeError('found a test')\n    return 2"
    ),
    "an exception of the grader's": (
        "class Ended(BaseException): pass\nclass TooLong(BaseException): pass\n"
        "def mean(x):\n    raise (Ended if len(x) > 1 else TooLong)('done')"
    ),
    "the process ends in a test": "import os\ndef mean(x):\n    os._exit(0)",
    "arguments are changed": (
        "def mean(x):\n    x[:] = [2] * len(x) if isinstance(x, list) else 2\n    return 2"
    ),
    "nothing is a number": "def mean(x):\n    return np.full(np.shape(x), np.nan)",
    "a name that runs": (
        "import collections\nclass Odd(tuple):\n    _fields = ('a',)\nOdd.__name__ = \"x', []);"
        " __import__('os').system('touch /tmp/owned')#\"\ndef mean(x):\n    return Odd((2,))"
    ),
    "something to unpickle": (
        "class Bomb:\n    def __reduce__(self): return (print, ('boom',))\ndef mean(x):\n    return"
        " Bomb()"
    ),
    "more than fits": "def mean(x):\n    return np.zeros(20_000_000)",
    "nested without end": (
        "def mean(x):\n    deep = []\n    for _ in range(10_000):\n        deep = [deep]\n   "
        " return deep"
    ),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return blank(TinyCourse(tmp_path_factory.mktemp("course") / "project").assignment)


def test_no_attack_gains_above_an_honest_wrong_answer(both, monkeypatch):
    monkeypatch.setenv("COURSE_SECRET", "hush")
    contents = {"honest": with_wrong(both, "pass")}
    contents |= {name: with_wrong(both, code) for name, code in ATTACKS.items()}
    contents |= {name: with_wrong(both, "pass", code) for name, code in FUNCTIONS.items()}
    contents["last"] = make.answered(both)
    with Pool(1, LIMITS) as pool:  # one jail: what one leaves, the next might find
        records = make.graded(both, contents, SEEDS, pool)
        inside = pool.jails[0].mode == "bwrap"
    assert len(ATTACKS) + len(FUNCTIONS) >= 15
    assert records["last"]["points"] == {"mean": 3, "guess": 2}, "nobody else pays for them"
    for name, record in records.items():
        if name != "last":
            assert record["points"] == records["honest"]["points"] == {"mean": 0, "guess": 0}, (
                name,
                record["tests"],
            )
        assert not any("found" in outcome["error"] for outcome in record["tests"].values()), (
            name,
            record["tests"],
        )
        if inside:
            assert not [remark for remark in record["remarks"] if "reached" in remark["error"]], (
                name
            )


def with_wrong(both, attack, mean=WRONG):
    """An attack, then two wrong answers, then a cell that stops if the attack has reached what it
    should not.
    """
    content = with_answer(both, "# Task: mean\n" + mean, "mean", before=attack)
    guess = next(
        cell
        for cell in content["cells"]
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "guess"
    )
    guess["source"] = "# Task: guess\nguess = globals().get('guess', False)"
    content["cells"].append(own("if globals().get('reached'):\n    raise ValueError('reached')"))
    return content


# What the tests of an assignment may ask


def changed(tmp_path, old, new):
    project = TinyCourse(tmp_path / "project")
    assert old in ASSIGNMENT
    project.assign(ASSIGNMENT.replace(old, new))
    return project


@pytest.mark.parametrize(
    "test, sentence",
    [
        ("assert mean(lambda: 1) == 1", "an argument of mean cannot travel to it: a function"),
        ("import ast\nassert mean(ast) == 1", "an argument of mean cannot travel to it: a module"),
        ("assert mean(secret_rng('mean-basic')) == 1", "would tell what it draws"),
    ],
)
def test_what_cannot_travel_is_refused_when_the_assignment_is_built(tmp_path, test, sentence):
    project = changed(
        tmp_path,
        'numbers = secret_rng("mean-basic").normal(size=7)',
        f'{test}\nnumbers = secret_rng("mean-basic").normal(size=7)',
    )
    with Pool(1, LIMITS) as pool, pytest.raises(PressError, match=sentence):
        make.make(project.root, place=tmp_path / "made", pool=pool)


def test_a_call_that_the_text_names_is_tried(tmp_path):
    project = changed(
        tmp_path, "## 2. Predict", "Try `mean(numbers)` on `np.arange(3)`.\n\n## 2. Predict"
    )
    assert project.assignment.calls == ["mean(numbers)", "np.arange(3)"]
    with Pool(1, LIMITS) as pool:
        with pytest.raises(
            PressError, match="names the call mean\\(numbers\\), and it stops \\(NameError"
        ):
            make.make(project.root, place=tmp_path / "made", pool=pool)
        project.assign(
            (project.root / "book/coursework/tiny.md")
            .read_text()
            .replace("  minutes: 40", '  minutes: 40\n  examples: {numbers: "[1, 2]"}')
        )
        make.make(project.root, place=tmp_path / "made", pool=pool)


def test_a_task_needs_three_right_answers_in_other_clothes(tmp_path):
    project = changed(
        tmp_path, "```{code-cell} ipython3\n:tags: [right]\n:why: a number\nguess = 1\n```\n\n", ""
    )
    with pytest.raises(
        PressError, match="the task guess lists 2 right answers in other clothes and needs 3"
    ):
        assert project.assignment.tasks


def test_a_right_answer_that_loses_points_stops_the_build(tmp_path):
    project = changed(tmp_path, "guess = 1\n", "guess = 0\n")
    with (
        Pool(1, LIMITS) as pool,
        pytest.raises(PressError, match="the right answer number 2 fails the test guess-right"),
    ):
        make.make(project.root, place=tmp_path / "made", pool=pool)


def test_functions_get_what_tests_give_and_tests_see_what_they_do(both, tmp_path):
    """Generators go on where the function left them, what was done to lists and arrays can be asked
    for, exceptions keep their class.
    """
    hidden = """
rng, twin = np.random.default_rng(3), np.random.default_rng(3)
assert mean(rng) == twin.normal() and rng.normal() == twin.normal(), "generators travel by their state"
assert np.random.default_rng(4).spawn(1)[0].normal() == mean({"spawn": np.random.default_rng(4)}), "and their children are the same"
numbers, array = [3, 1, 2], np.array([3.0, 1.0, 2.0])
assert mean(numbers) == "sorted" and left_by(mean) == ([1, 2, 3],) and numbers == [3, 1, 2], "a list sorted in place, there alone"
assert mean(array) == "sorted" and left_by(mean)[0].tolist() == [1, 2, 3] and array.tolist() == [3, 1, 2], "and an array"
for kind in (ValueError, KeyError, ZeroDivisionError):
    try:
        mean(kind.__name__)
    except kind as error:
        assert "told" in str(error), "with its text"
    else:
        assert False, "it raises"
one = mean(("torch", 1))
assert one.dtype == np.float32 and one.tolist() == [1, 2] and mean(("frame", 1)).shape == (2, 2), "tensors and tables come as arrays"
assert mean(("named", 1)).first == 1 and mean(("set", 1)) == {1, 2} and mean(("complex", 1)) == 1j, "and other kinds as they are"
"""  # noqa: E501
    answer = """# Task: mean
def mean(x):
    import collections, pandas, torch
    if isinstance(x, np.random.Generator):
        return x.normal()
    if isinstance(x, dict):
        return x["spawn"].spawn(1)[0].normal()
    if isinstance(x, str):
        raise {"ValueError": ValueError, "KeyError": KeyError, "ZeroDivisionError": ZeroDivisionError}[x]("told")
    if isinstance(x, tuple):
        return {
            "torch": torch.tensor([1.0, 2.0], requires_grad=True), "frame": pandas.DataFrame(np.eye(2)), "set": {1, 2}, "complex": 1j,
            "named": collections.namedtuple("Pair", "first second")(1, 2),
        }[x[0]]
    x.sort()
    return "sorted"
"""  # noqa: E501
    project = changed(
        tmp_path,
        'numbers = secret_rng("mean-basic").normal(size=7)\nassert abs(float(mean(numbers)) -'
        ' numbers.mean()) < 1e-6, "another mean"',
        hidden,
    )
    project.assign(
        (project.root / "book/coursework/tiny.md")
        .read_text()
        .replace(
            'assert np.isclose(float(mean([1, 2, 3])), 2), "the mean of 1, 2, 3 is 2"',
            "assert True",
        )
    )
    other = blank(project.assignment)
    with Pool(1, Limits(seconds=60, cell_seconds=30)) as pool:
        record = make.graded(other, {"one": with_answer(other, answer, "mean")}, SEEDS, pool)["one"]
    assert record["tests"]["mean-basic"]["passed"], json.dumps(record["tests"], indent=1)

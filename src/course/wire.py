"""How values travel between the grader and a student's process: JSON in frames, so that nothing
that arrives can run.

Numbers, strings, lists, tuples, dicts, sets, arrays, named tuples and NumPy's generators (by state)
travel; tensors and tables arrive as arrays. Everything else is refused.
"""

from __future__ import annotations

import base64
import collections
import json
import numbers
import select
import socket
import struct
import sys
import time

import numpy as np

MOST = 64 << 20  # bytes of one message
DEEPEST = 40
KINDS = "biufcUS"  # of arrays: bool, integers, floats, complex, strings


class Untravelled(TypeError):
    """A value of a kind that does not travel; the text names it."""


class Garbled(Exception):
    """What arrived is no message."""


def pack(value, depth: int = 0):
    """`value` as JSON can hold it.

    Raises
    ------
    Untravelled : if it is of another kind than those above
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if depth > DEEPEST:
        raise Untravelled("something nested too deeply")
    if isinstance(value, np.generic) and value.dtype.kind in KINDS:
        return {"number": _raw(np.asarray(value))}
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return {"rng": _pack_rng(value, depth)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {
            "named": [
                type(value).__name__,
                list(value._fields),
                [pack(item, depth + 1) for item in value],
            ]
        }
    if isinstance(value, list | tuple | set | frozenset | range):
        kind = (
            "tuple"
            if isinstance(value, tuple)
            else "set"
            if isinstance(value, set | frozenset)
            else "list"
        )
        return {kind: [pack(item, depth + 1) for item in value]}
    if isinstance(value, dict):
        return {
            "dict": [[pack(key, depth + 1), pack(item, depth + 1)] for key, item in value.items()]
        }
    if isinstance(value, str | bytes):
        return str(value) if isinstance(value, str) else {"bytes": base64.b64encode(value).decode()}
    array = _as_array(value)
    if array is not None:
        return (
            {"array": _raw(array)} if array.dtype.kind in KINDS else pack(array.tolist(), depth + 1)
        )
    if isinstance(value, numbers.Number):
        return (
            float(value)
            if isinstance(value, numbers.Real)
            else {"complex": [complex(value).real, complex(value).imag]}
        )
    raise Untravelled(f"a {type(value).__name__}")


def _as_array(value):
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu().resolve_conj().resolve_neg()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if hasattr(value, "__array__") and not isinstance(value, type):
        return np.asarray(value)
    return None


def _raw(array):
    array = np.ascontiguousarray(array).reshape(array.shape)
    return [array.dtype.str, list(array.shape), base64.b64encode(array.tobytes()).decode()]


def _pack_rng(rng, depth):
    if isinstance(rng, np.random.RandomState):
        return ["RandomState", pack(rng.get_state(legacy=False), depth + 1), None]
    seeds = rng.bit_generator.seed_seq
    told = (
        [seeds.entropy, seeds.spawn_key, seeds.n_children_spawned]
        if isinstance(seeds, np.random.SeedSequence)
        else None
    )
    return ["Generator", pack(rng.bit_generator.state, depth + 1), pack(told, depth + 1)]


def unpack(thing, known: dict | None = None):
    """What `pack` has packed; classes of named tuples are looked up in `known`.

    Raises
    ------
    Garbled : if it is nothing that `pack` gives
    """
    try:
        return _unpack(thing, known or {})
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        MemoryError,
        OverflowError,
    ) as error:
        raise Garbled(str(error)) from None


def _unpack(thing, known):
    if not isinstance(thing, dict):
        if isinstance(thing, list):
            raise ValueError("a list without its kind")
        return thing
    ((kind, held),) = thing.items()
    if kind in ("list", "tuple", "set"):
        return {"list": list, "tuple": tuple, "set": set}[kind](
            _unpack(item, known) for item in held
        )
    if kind == "dict":
        return {_unpack(key, known): _unpack(item, known) for key, item in held}
    if kind == "array":
        return _array(*held)
    if kind == "number":
        return _array(*held)[()]
    if kind == "bytes":
        return base64.b64decode(held)
    if kind == "complex":
        return complex(*held)
    if kind == "named":
        name, fields, items = held
        own = known.get(name)
        if not (isinstance(own, type) and getattr(own, "_fields", None) == tuple(fields)):
            own = collections.namedtuple(name, fields)
        return own(*(_unpack(item, known) for item in items))
    if kind == "rng":
        return _rng(*held)
    raise ValueError(f"of no kind: {kind}")


def _array(kind, shape, data):
    dtype = np.dtype(kind)
    if dtype.kind not in KINDS or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError("no array")
    return np.frombuffer(base64.b64decode(data), dtype).reshape(shape).copy()


def _rng(kind, state, told):
    state, told = _unpack(state, {}), _unpack(told, {})
    if kind == "RandomState":
        rng = np.random.RandomState()
        rng.set_state(state)
        return rng
    name = state["bit_generator"]
    if name not in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"):
        raise ValueError("no generator")
    seeds = (
        np.random.SeedSequence(told[0], spawn_key=told[1], n_children_spawned=told[2])
        if told
        else None
    )
    bits = getattr(np.random, name)(seeds)
    bits.state = state
    return np.random.Generator(bits)


def go_on(original, returned) -> None:
    """Let a generator go on where a call has left it; nothing else that a test holds is changed by
    a student's function.
    """
    if isinstance(original, np.random.Generator) and isinstance(returned, np.random.Generator):
        original.bit_generator.state = returned.bit_generator.state
    elif isinstance(original, np.random.RandomState) and isinstance(
        returned, np.random.RandomState
    ):
        original.set_state(returned.get_state())


def send(channel: socket.socket, message) -> None:
    """Write one message, however long it takes (the other side may be a student's and slow: set a
    time-out).
    """
    data = json.dumps(message).encode()
    channel.sendall(struct.pack(">Q", len(data)) + data)


def receive(channel: socket.socket, until: float | None = None):
    """The next message, or None if the other side is gone.

    Raises
    ------
    Garbled : if what arrives is no message, or too long a one
    TimeoutError : if it is not there at the time `until` (of the monotonic clock)
    """
    head = _exactly(channel, 8, until)
    if head is None:
        return None
    (length,) = struct.unpack(">Q", head)
    if length > MOST:
        raise Garbled("too long")
    data = _exactly(channel, length, until)
    if data is None:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Garbled(str(error)) from None


def _exactly(channel, length, until):
    data = bytearray()
    while len(data) < length:
        wait = None if until is None else max(0.0, until - time.monotonic())
        if not select.select([channel], [], [], wait)[0]:
            raise TimeoutError
        try:
            part = channel.recv(min(1 << 20, length - len(data)))
        except ConnectionError:
            return None
        if not part:
            return None
        data += part
    return bytes(data)

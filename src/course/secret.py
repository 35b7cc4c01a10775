"""A course's secret: hidden tests draw their inputs from it, for the tests themselves are
public.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from course.assignment import Assignment


def course_secret(root: Path) -> bytes:
    """COURSE_SECRET, or what stands in build/course/secret, which is made at random if it is not
    there.
    """
    if given := os.environ.get("COURSE_SECRET"):
        return given.encode()
    path = root / "build/course/secret"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        temporary.replace(path)
    path.chmod(0o600)
    return path.read_bytes().strip()


def seeds(assignment: Assignment, secret: bytes) -> dict[str, str]:
    """The seed behind each name that the assignment's tests give to `secret_rng`; the secret cannot
    be found from them.
    """
    drawn = (
        sorted(set().union(*(test.draws for test in assignment.tests))) if assignment.tests else []
    )
    return {
        name: str(
            int.from_bytes(
                hmac.new(secret, f"{assignment.name}/{name}".encode(), hashlib.sha256).digest()[
                    :16
                ],
                "big",
            )
        )
        for name in drawn
    }

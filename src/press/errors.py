"""The press's one kind of error: something its user can mend."""


class PressError(Exception):
    """Its text is one sentence that says what to do; the command line prints it and exits with
    1.
    """

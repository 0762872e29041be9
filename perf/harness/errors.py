"""The one error of the harness: a run that cannot give a believable figure ends with it."""


class HarnessError(Exception):
    """What went wrong, in one line for the operator."""

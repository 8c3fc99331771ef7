"""The errors that convc raises on purpose."""


class ConvcError(Exception):
    """Something the user can act on: the message says what, where and what to do, in one line."""


class InvalidModelError(ConvcError):
    """The file is not a model that convc can read."""


class InvalidGraphError(ConvcError):
    """A graph breaks an invariant of the IR: the message names the op."""


class UsageError(ConvcError):
    """A wrong option, pass name or data file."""


class ProofError(ConvcError):
    """A rewrite or a whole model was shown not to compute the same function."""


class CannotProveError(ConvcError):
    """A rewrite cannot be put to the proof (a size is not known, say): nothing is wrong with it."""

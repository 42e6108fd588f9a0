"""The errors raised for bad input: the value, what was expected and the remedy."""


class InputError(ValueError):
    """Something the caller gave cannot be used; the message says what to do instead."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that the caller named is not there, or lacks a part that is needed."""


class OutputExistsError(InputError, FileExistsError):
    """A place to write to is taken; nothing there was touched."""


class NonFiniteScoreError(InputError):
    """A value function answered NaN or infinity for a mask."""


class DamagedStoreWarning(UserWarning):
    """A store holds less than was written to it; the message says what is missing and what mends it."""

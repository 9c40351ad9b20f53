"""Exceptions a user can meet. Each message says what was got, what is needed and what to do."""

from __future__ import annotations


class PybackdoorError(Exception):
    """Base of every exception this package raises on purpose."""


class InputError(PybackdoorError, ValueError):
    """A value given by the user cannot be used."""


class InputTypeError(PybackdoorError, TypeError):
    """A value given by the user has the wrong type."""


class UnknownNameError(InputError):
    """No entry of that name; the nearest names are offered."""


class FileRefusedError(InputError):
    """A file is malformed, hostile, of an unsupported kind, or cannot be written."""


class UnsupportedError(InputError):
    """The backend or option that was named cannot serve this call; the reason is given."""


class BudgetExhaustedError(PybackdoorError, RuntimeError):
    """The next oracle call would spend more than the budget allows; nothing was spent on it."""


class MemoryExhaustedError(PybackdoorError, MemoryError):
    """A device has too little memory for the call; what fits is said."""


class OracleFailedError(PybackdoorError, RuntimeError):
    """The oracle raised, or returned something that is not one finite number a point."""


class SurrogateFailedError(PybackdoorError, RuntimeError):
    """A surrogate given as a Python function raised."""


class NotConvergedError(PybackdoorError, RuntimeError):
    """A numerical method did not succeed and `raise_on_failure` was asked for."""

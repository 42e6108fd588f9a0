"""Where masks are evaluated: in this process, in several on this machine, or on a Ray cluster."""

from spex_mech.core.errors import InputError
from spex_mech.evaluation.executors.executor import Chunk, Executor
from spex_mech.evaluation.executors.in_process import InProcessExecutor
from spex_mech.evaluation.executors.local import LocalExecutor
from spex_mech.evaluation.executors.ray import RayExecutor

__all__ = ["Chunk", "Executor", "InProcessExecutor", "LocalExecutor", "RayExecutor", "as_executor"]

_NAMED = {"local": InProcessExecutor, "ray": RayExecutor}


def as_executor(executor: str | Executor) -> Executor:
    """An executor, or the one of a name: ``local`` (this process) or ``ray`` (all of a cluster).

    Raises:
        InputError: an unknown name.
    """
    if not isinstance(executor, str):
        return executor
    if executor not in _NAMED:
        raise InputError(
            f"unknown executor {executor!r}; expected 'local', 'ray', a LocalExecutor or a RayExecutor"
        )
    return _NAMED[executor]()

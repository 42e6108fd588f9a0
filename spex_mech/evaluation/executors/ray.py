"""Evaluating on a Ray cluster: one actor a device, which may come and go with its node."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.evaluation.executors.dispatch import Died, Done, Event, Ready, dispatch
from spex_mech.evaluation.executors.executor import Answer, Batch, Game, key_of
from spex_mech.evaluation.executors.shipping import pack_game

_LOOK_AGAIN = 2.0
_PATIENCE = 10.0


@dataclass(frozen=True)
class RayExecutor:
    """Evaluates on a Ray cluster.

    Each actor holds the model once. Actors that die, alone or with their node, are replaced and their
    chunk evaluated again; nodes that join get actors.

    Attributes:
        address: of the cluster (``auto``, ``ray://host:10001``); None for the one this process is
            connected to, else that of ``RAY_ADDRESS``, else one on this machine for this evaluation.
        workers: number of actors; None for as many as the cluster has room for, now and later.
        cpus: CPUs of an actor.
        gpus: GPUs of an actor; None for one where the cluster has any.
        resources: custom resources of an actor.
        device_map: have each actor load the model by its name and spread it over its GPUs, as in
            ``RayExecutor(gpus=4, device_map="auto")``.
        runtime_env: Ray's runtime environment of an actor.
    """

    address: str | None = None
    workers: int | None = None
    cpus: float = 1
    gpus: float | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    device_map: Any = None
    runtime_env: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers is {self.workers}, expected 1 or more, or None")

    def map(self, game: Game, batches: Sequence[Batch]) -> Iterator[Answer]:
        """See `Executor.map`.

        Raises:
            InputError: Ray is not installed, or the cluster cannot be reached.
        """
        ray = _ray()
        ours = not ray.is_initialized()
        if ours:
            _connect(ray, self.address)
        try:
            total = ray.cluster_resources()
            gpus = (1.0 if total.get("GPU") else 0.0) if self.gpus is None else self.gpus
            needs = {"CPU": self.cpus, "GPU": gpus, **self.resources}
            device = "cuda" if gpus and self.device_map is None else None
            payload = pack_game(game, device=device, device_map=self.device_map)
            crew = _Actors(ray, payload, self.workers, needs, self.runtime_env)
            yield from dispatch(crew, batches, key_of(game))
        finally:
            if ours:
                ray.shutdown()

    def describe(self) -> dict[str, Any]:
        """See `Executor.describe`."""
        return {
            "executor": "ray",
            "address": self.address,
            "workers": self.workers,
            "cpus": self.cpus,
            "gpus": self.gpus,
            "resources": dict(self.resources),
        }


class _Actors:
    """A crew of Ray actors."""

    def __init__(
        self,
        ray: Any,
        payload: bytes,
        count: int | None,
        needs: Mapping[str, float],
        runtime_env: Mapping[str, Any] | None,
    ) -> None:
        from spex_mech.evaluation.executors.work import Work

        self._ray, self._count = ray, count
        self._needs = {name: amount for name, amount in needs.items() if amount}
        others = {k: v for k, v in self._needs.items() if k not in ("CPU", "GPU")}
        self._actor = ray.remote(Work).options(
            num_cpus=needs["CPU"],
            num_gpus=needs["GPU"],
            resources=others,
            runtime_env=None if runtime_env is None else dict(runtime_env),
        )
        self._payload = ray.put(payload)
        self._actors: dict[int, Any] = {}
        self._waiting: dict[Any, tuple[int, type[Ready] | type[Done]]] = {}
        self._hired, self._looked, self._room = 0, float("-inf"), 1

    def wanted(self) -> int:
        if self._count is not None:
            return self._count
        if time.monotonic() - self._looked > _LOOK_AGAIN:
            total = self._ray.cluster_resources()
            rooms = [int(total.get(name, 0) // amount) for name, amount in self._needs.items()]
            self._room, self._looked = max(1, min(rooms, default=1)), time.monotonic()
        return self._room

    def hire(self) -> int:
        worker, self._hired = self._hired, self._hired + 1
        actor = self._actor.remote(self._payload)
        self._actors[worker] = actor
        self._waiting[actor.about.remote()] = (worker, Ready)
        return worker

    def send(self, worker: int, batches: Sequence[Batch]) -> None:
        self._waiting[self._actors[worker].score.remote(list(batches))] = (worker, Done)

    def wait(self, seconds: float) -> list[Event]:
        if not self._waiting:
            return []
        refs = list(self._waiting)
        some, _ = self._ray.wait(refs, num_returns=1, timeout=seconds)
        ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0) if some else ([], [])
        return [self._event(ref) for ref in ready]

    def interrupt(self, workers: Collection[int]) -> bool:
        return False  # an actor hears nothing before its chunk is done

    def close(self) -> None:
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._actors.clear()

    def _event(self, ref: Any) -> Event:
        worker, kind = self._waiting.pop(ref)
        try:
            return kind(worker, *self._ray.get(ref))
        except self._ray.exceptions.RayError as error:
            self._ray.kill(self._actors.pop(worker))
            return Died(worker, str(error))


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise InputError(
            "executor='ray' needs Ray; install it with: pip install 'spex-mech[ray]'"
        ) from None
    return ray


def _connect(ray: Any, address: str | None) -> None:
    try:
        _knock(address)
        ray.init(address=address, include_dashboard=None if address else False, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"no Ray cluster at {address!r} can be reached ({error}); start one with: ray start "
            "--head, or leave the address out"
        ) from error


def _knock(address: str | None) -> None:
    """Fail at once where nobody listens: Ray would try for more than a minute."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()

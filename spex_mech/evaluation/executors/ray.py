"""Evaluating on a Ray cluster: one actor per device, which may come and go with its node."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.core.games import Game
from spex_mech.evaluation.executors.dispatch import (
    Died,
    Done,
    Event,
    Failed,
    Started,
    check_batch_seconds,
    dispatch,
)
from spex_mech.evaluation.executors.executor import Batch, Chunk
from spex_mech.evaluation.executors.ray_cluster import connect
from spex_mech.evaluation.executors.shipping import pack_game

_LOOK_AGAIN = 2.0
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class RayExecutor:
    """Evaluates on a Ray cluster.

    Each actor holds the model once. Actors that die, alone or with their node, are replaced and what they
    had not finished is evaluated again; nodes that join get actors.

    Attributes:
        address: of the cluster (``auto``, ``ray://host:10001``); None for the one this process is
            connected to, else that of ``RAY_ADDRESS``, else one that ``ray start`` made on this machine,
            else one on this machine for this evaluation.
        workers: number of actors; None for as many as the cluster has room for, now and later.
        cpus: CPUs of an actor.
        gpus: GPUs of an actor; None for one where the cluster has any.
        resources: custom resources of an actor.
        device_map: have each actor load the model by its name and spread it over its GPUs, as in
            ``RayExecutor(gpus=4, device_map="auto")``.
        runtime_env: Ray's runtime environment of an actor.
        batch_seconds: time limit of a batch, see `LocalExecutor`; an actor that takes longer, or is
            stopped, is killed and replaced.
        listen: IP address of a cluster that is made for this evaluation. On the default only processes of
            this machine can reach it. With any other, Ray binds most of its ports on all addresses of the
            machine, and whoever reaches them may run code as you. Where your version of Ray does not keep
            to the default, a warning says so. A cluster that is there already listens where it does.
    """

    address: str | None = None
    workers: int | None = None
    cpus: float = 1
    gpus: float | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    device_map: Any = None
    runtime_env: Mapping[str, Any] | None = None
    batch_seconds: float | None = None
    listen: str = _LOOPBACK

    def __post_init__(self) -> None:
        check_batch_seconds(self.batch_seconds)
        try:
            ip_address(self.listen)
        except ValueError:
            raise InputError(
                f"listen is {self.listen!r}, expected an IP address of this machine, such as {_LOOPBACK!r}"
            ) from None
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers is {self.workers}, expected 1 or more, or None")

    def map(self, game: Game, batches: Sequence[Batch]) -> Iterator[Chunk]:
        """See `Executor.map`.

        Raises:
            InputError: Ray is not installed, or the cluster cannot be reached.
        """
        ray = _ray()
        connects = not ray.is_initialized()
        if connects:
            connect(ray, self.address, self.listen)
        try:
            total = ray.cluster_resources()
            gpus = (1.0 if total.get("GPU") else 0.0) if self.gpus is None else self.gpus
            needs = {"CPU": self.cpus, "GPU": gpus, **self.resources}
            device = "cuda" if gpus and self.device_map is None else None
            payload = pack_game(game, device=device, device_map=self.device_map)
            workers = _Actors(ray, payload, self.workers, needs, self.runtime_env)
            yield from dispatch(workers, batches, game.key, self.batch_seconds)
        finally:
            if connects:
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
    """Ray actors as workers."""

    def __init__(
        self,
        ray: Any,
        payload: bytes,
        count: int | None,
        needs: Mapping[str, float],
        runtime_env: Mapping[str, Any] | None,
    ) -> None:
        from spex_mech.evaluation.executors.worker import Worker

        self._ray, self._count = ray, count
        self._needs = {name: amount for name, amount in needs.items() if amount}
        others = {k: v for k, v in self._needs.items() if k not in ("CPU", "GPU")}
        self._actor = ray.remote(Worker).options(
            num_cpus=needs["CPU"],
            num_gpus=needs["GPU"],
            resources=others,
            runtime_env=None if runtime_env is None else dict(runtime_env),
        )
        self._payload = ray.put(payload)
        self._actors: dict[int, Any] = {}
        self._waiting: dict[Any, tuple[int, int | None]] = {}  # worker, position in its chunk
        self._arrived: list[Event] = []  # kept here, lest an interrupt loses them
        self._started, self._looked, self._room = 0, float("-inf"), 1

    def wanted(self) -> int:
        if self._count is not None:
            return self._count
        if time.monotonic() - self._looked > _LOOK_AGAIN:
            total = self._ray.cluster_resources()
            rooms = [int(total.get(name, 0) // amount) for name, amount in self._needs.items()]
            self._room, self._looked = max(1, min(rooms, default=1)), time.monotonic()
        return self._room

    def start(self) -> int:
        worker, self._started = self._started, self._started + 1
        actor = self._actor.remote(self._payload)
        self._actors[worker] = actor
        self._waiting[actor.about.remote()] = (worker, None)
        return worker

    def send(self, worker: int, batches: Sequence[Batch]) -> None:
        for position, batch in enumerate(batches):  # an actor runs its calls in order
            self._waiting[self._actors[worker].score.remote(batch)] = (worker, position)

    def wait(self, seconds: float) -> list[Event]:
        if not self._waiting:
            return []
        refs = list(self._waiting)
        some, _ = self._ray.wait(refs, num_returns=1, timeout=seconds)
        ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0) if some else ([], [])
        for ref in ready:
            event = self._event(ref)
            self._arrived += [] if event is None else [event]
            del self._waiting[ref]
        events, self._arrived = self._arrived, []
        return sorted(events, key=lambda event: isinstance(event, Died))  # what it did comes first

    def kill(self, worker: int) -> None:
        self._ray.kill(self._actors.pop(worker))
        self._waiting = {r: (w, p) for r, (w, p) in self._waiting.items() if w != worker}

    def close(self) -> None:
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._actors.clear()

    def _event(self, ref: Any) -> Event | None:
        """What a finished call says; None for one of several that failed with their actor."""
        worker, position = self._waiting[ref]
        try:
            answer = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            if worker not in self._actors:
                return None
            self._ray.kill(self._actors.pop(worker))
            return Died(worker, str(error))
        if position is None:
            return Started(worker, *answer)
        scored, seconds, error = answer
        return Done(worker, position, scored, seconds) if error is None else Failed(worker, error)


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise InputError(
            "executor='ray' needs Ray; install it with: pip install 'spex-mech[ray]'"
        ) from None
    return ray

"""Reaching a Ray cluster, or making one that nobody else can reach."""

from __future__ import annotations

import contextlib
import os
import socket
import warnings
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from spex_mech.core.errors import InputError

_PATIENCE = 10.0


def connect(ray: Any, address: str | None, listen: str) -> None:
    """Connect this process to a cluster; where none is named and none runs, make one of its own.

    Raises:
        InputError: the cluster cannot be reached, or none can be made.
    """
    try:
        _check_address(address)
        if address != "local" and (address or _running(ray)):
            ray.init(address=address, log_to_driver=False)
        else:
            _make(ray, listen)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"no Ray cluster at {address!r} can be reached ({error}); start one with: ray start "
            "--head, or leave the address out"
        ) from error


def _make(ray: Any, listen: str) -> None:
    options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
    if not ip_address(listen).is_loopback:
        ray.init(address="local", _node_ip_address=listen, **options)
        return
    with _loopback_only(ray):
        ray.init(address="local", **options)
    found = ray.util.get_node_ip_address()
    if not ip_address(found).is_loopback:
        warnings.warn(
            f"Ray {ray.__version__} made a cluster that listens on {found}, not on {listen} alone: who "
            "reaches this machine's ports may reach it; close them, or use another version of Ray",
            RuntimeWarning,
            stacklevel=2,
        )


@contextlib.contextmanager
def _loopback_only(ray: Any) -> Iterator[None]:
    """Have Ray take the loopback address for this machine's.

    It replaces a loopback address that it is given by one that others reach, except where it makes no
    clusters of several machines: what it does on macOS and Windows is asked for here.
    """
    constants = ray._private.ray_constants
    before = getattr(constants, "ENABLE_RAY_CLUSTER", None)
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


def _running(ray: Any) -> bool:
    """Whether Ray would connect to a cluster of ``RAY_ADDRESS`` or of ``ray start``, if it is given none."""
    named = os.environ.get("RAY_ADDRESS") or ray._private.utils.read_ray_address()
    return named not in (None, "", "local")


def _check_address(address: str | None) -> None:
    """Fail at once where nothing listens: Ray would try for more than a minute."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()

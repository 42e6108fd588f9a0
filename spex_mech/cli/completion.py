"""What a shell offers when Tab is pressed after a word that is not whole yet; needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MODELS = ("embedded", "smollm2")
"""The models with names of their own, as `models.loading.NAMED` has them; importing that takes seconds."""

_SPECS = (".toml", ".yaml", ".yml")


def complete_words(ctx: Any, incomplete: str) -> list[str]:
    """The next of ``[SPEC] [MODEL [TASK]]``: models and specs first, then tasks."""
    words = list(ctx.params.get("words") or [])
    if words and words[0].endswith(_SPECS):
        words = words[1:]
    elif not words:
        return [*complete_model(incomplete), *_paths(incomplete, _SPECS)]
    return complete_model(incomplete) if not words else complete_task(incomplete)


def complete_model(incomplete: str) -> list[str]:
    """Models with names of their own, and folders and GGUF files that are there."""
    named = [name for name in MODELS if name.startswith(incomplete)]
    return [*named, *(_paths(incomplete, (".gguf",)) if incomplete else [])]


def complete_task(incomplete: str) -> list[str]:
    """Tasks that come with the library, and cards and tables that are there."""
    from spex_mech.tasks.cards import task_names
    from spex_mech.tasks.tables import ENDINGS

    named = [name for name in task_names() if name.startswith(incomplete)]
    return [*named, *_paths(incomplete, (".toml", *ENDINGS))]


def complete_run(incomplete: str) -> list[str]:
    """Folders of runs below ``runs``, and folders whose paths begin so."""
    runs = [str(p.parent) for p in sorted(Path("runs").glob("*/spec.json"))]
    named = [path for path in runs if path.startswith(incomplete)]
    return named or _paths(incomplete, ())


def complete_metric(incomplete: str) -> list[str]:
    """Metrics of tasks."""
    from spex_mech.tasks.metrics import CHOICE_METRICS

    return [name for name in CHOICE_METRICS if name.startswith(incomplete)]


def complete_method(incomplete: str) -> list[str]:
    """Decoders."""
    from spex_mech.decoders.decode import DECODERS

    return [name for name in DECODERS if name.startswith(incomplete)]


def _paths(incomplete: str, endings: tuple[str, ...]) -> list[str]:
    """Files of these endings, and folders, whose paths begin so; hidden ones only where a dot was typed."""
    folder, _, name = incomplete.rpartition("/")
    start = f"{folder}/" if "/" in incomplete else ""
    try:
        found = sorted(p for p in Path(start or ".").iterdir() if p.name.startswith(name))
    except OSError:
        return []
    shown = [p for p in found if name.startswith(".") or not p.name.startswith(".")]
    folders = [f"{start}{p.name}/" for p in shown if p.is_dir()]
    return folders + [f"{start}{p.name}" for p in shown if p.suffix in endings]

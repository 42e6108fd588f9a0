"""What is run: a spec file, or a model and a task, with the options that people set most."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from spex_mech.cli.completion import complete_metric, complete_words
from spex_mech.cli.options import ExecutorCommand, Settings, as_settings, parameters_of, whole
from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted

if TYPE_CHECKING:
    from spex_mech.run.spec import RunSpec

_SPECS = (".toml", ".yaml", ".yml")
_DEMO = "demo"


def spec_of(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SPEC | MODEL TASK",
            autocompletion=complete_words,
            help="A first word that ends in .toml, .yaml or .yml is a spec file. Otherwise the first word "
            "is a model ('embedded', 'smollm2', a folder, a GGUF file or a hub id) and the second a task "
            "(see spex-mech tasks; or a card, or a table of questions: .csv, .jsonl, .parquet). Model and "
            "task after a spec replace those in it. Without words: the embedded model's demo.",
        ),
    ] = None,
    players: Annotated[
        str | None,
        typer.Option(
            help="What is switched off: 'heads', 'kv', 'mlps', 'layers', 'heads:0-3 mlps'."
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="MASKS", help="Masks to spend, as if each were asked all questions."),
    ] = None,
    examples: Annotated[
        str | None,
        typer.Option(
            metavar="QUESTIONS",
            help="How many search questions to use; 'none' for all. By default 60, or as many as there are.",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            autocompletion=complete_metric,
            help="What is measured, such as 'margin', 'accuracy' or 'logprob'.",
        ),
    ] = None,
    ablation: Annotated[
        str | None,
        typer.Option(
            help="What removed parts become: 'zero', 'mean', 'resample', 'counterfactual' or 'optimal'."
        ),
    ] = None,
    keep: Annotated[
        list[float] | None,
        typer.Option(
            help="Players to keep, a number or a share such as 0.5; once for every size. The "
            "last one is exported, unless --export says otherwise. By default half of them."
        ),
    ] = None,
    export: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="The size to write as a model; 'auto': the smallest that loses nothing; 'none'.",
        ),
    ] = None,
    circuit: Annotated[
        bool,
        typer.Option(
            "--circuit",
            help="Of a model and task: also test the exported set as a circuit, which removes each of its "
            "players; spex-mech circuit does it later. A spec and the demo say themselves.",
        ),
    ] = False,
    settings: Settings = None,
) -> Any:  # a `RunSpec`; Typer evaluates annotations, and that import is slow
    """The spec that words and options describe, one parameter for each; see `SpecCommand`.

    Raises:
        InputError: too many words, a model of one's own without a task, or a setting that no spec has.
    """
    from spex_mech.run.spec_file import read_spec

    file, model, task = split_words(words or [])
    given = [setting.partition("=")[0].strip() for setting in settings or ()]
    sizes = [whole(k) for k in keep] if keep else None  # an option not given is an empty list
    if sizes is None and file is None and (model or players) and "prune.keep" not in given:
        sizes = [0.5]  # the demo's sizes are for its 32 heads
    if sizes and export is None and "prune.export" not in given:
        export = str(sizes[-1])
    typed = as_settings(
        None,
        model=model,
        task=task,
        players=players,
        game__metric=metric,
        game__ablation=ablation,
        prune__keep=sizes,
    )
    if file is None and model:  # what costs much and was not asked for is left out
        if not circuit and "circuit.subsets" not in given:
            typed.append("circuit.subsets=0")
        if "prune.baselines" not in given:
            typed.append("prune.baselines=['lasso ranking']")
    raw = {"design.budget": budget, "game.examples": examples, "prune.export": export}
    typed += [f"{key}={value}" for key, value in raw.items() if value is not None]
    spec = read_spec(file, [*typed, *(settings or [])])
    left_open = file is None and examples is None and "game.examples" not in given
    if task and left_open and _has_few(spec):
        spec = read_spec(file, [*typed, "game.examples=none", *(settings or [])])
    return spec


def _has_few(spec: RunSpec) -> bool:
    """Whether a task's questions lie here and are fewer than a run takes by itself."""
    from spex_mech.tasks.cards import load_card, load_task

    if load_card(spec.task).kind not in ("file", "generator"):
        return False
    task = load_task(spec.task, **spec.asking.model_dump())
    return sum(x.split == "search" for x in task.examples) < (spec.game.examples or 0)


def split_words(words: Sequence[str]) -> tuple[Path | None, str | None, str | None]:
    """The spec file, the model and the task among the words of a command; None for what is left out.

    Raises:
        InputError: more words than that, or a model other than the embedded one without a task.
    """
    rest = list(words)
    file = Path(rest.pop(0)) if rest and rest[0].lower().endswith(_SPECS) else None
    if len(rest) > 2:
        raise InputError(
            f"{quoted(rest[2])} is one word too many; write [SPEC] [MODEL [TASK]], as in "
            "smollm2 circuits/ioi"
        )
    model, task = [*rest, None, None][:2]
    if file is None and task is None and model not in (None, "embedded"):
        raise InputError(
            f"a task is missing after model {quoted(model)}; write MODEL TASK, as in {model} circuits/ioi "
            "(spex-mech tasks lists them), or a spec file that ends in .toml or .yaml"
        )
    return file, model, task


def folder_for(words: Sequence[str]) -> Path:
    """Where a run goes without ``--out``: ``runs/demo``, ``runs/SPEC`` or ``runs/MODEL-TASK``."""
    file, model, task = split_words(words)
    if file is not None and model is None:
        return Path("runs") / _slug(file.stem)
    parts = [_slug(part) for part in (model, task) if part]
    return Path("runs") / ("-".join(parts) or _DEMO)


def _slug(name: str) -> str:
    """The last part of a name or path, with nothing in it that a shell or a file system minds."""
    last = re.sub(r"\.(toml|csv|jsonl|parquet|gguf)$", "", name.rstrip("/").rsplit("/", 1)[-1])
    return re.sub(r"[^0-9A-Za-z._-]+", "-", last).strip("-.")[:60] or "run"


def _take_spec(context: Any, shared: Sequence[Any]) -> None:
    """Put the spec and the folder that it would go to into ``context.meta``."""
    values = {str(p.name): context.params.pop(p.name) for p in shared}
    context.meta["folder"] = folder_for(values["words"] or [])
    context.meta["spec"] = spec_of(**values)


class SpecCommand(TyperCommand):
    """A command with the words and options of `spec_of` besides its own.

    ``context.meta["spec"]`` is the spec, and ``context.meta["folder"]`` where a run of it goes by default.
    """

    def __init__(self, *args: Any, params: list[Any] | None = None, **kwargs: Any) -> None:
        self._named = parameters_of(spec_of)
        super().__init__(*args, params=[*self._named, *(params or [])], **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command with its own options, after reading the spec."""
        _take_spec(ctx, self._named)
        return super().invoke(ctx)


class RunCommand(SpecCommand, ExecutorCommand):
    """A command that evaluates a spec: with the options of `SpecCommand` and of `ExecutorCommand`."""

"""Run specs: all that a run depends on, read from TOML or YAML and checked before anything starts."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.core.quoting import quoted
from spex_mech.core.text_files import MOST_BYTES, parse_toml, parse_yaml, read_text
from spex_mech.run.spec_values import (
    AUTO,
    Asked,
    Count,
    Finite,
    Parameters,
    Positive,
    Rate,
    Seed,
    Size,
    Text,
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class GameSpec(_Section):
    """How the model is ablated and scored; see `TaskGame`.

    Attributes:
        metric: metric of the task; None for the task's own.
        ablation: ``zero``, ``mean``, ``resample``, ``counterfactual`` or ``optimal``.
        rescale: rescale the kept heads of each layer by H / |kept|.
        examples: number of search questions to use, the first ones; None for all. The test uses all test
            questions, whatever this says.
        unpaired: what becomes of questions without the corrupted partner that ``counterfactual`` needs:
            ``refuse`` to run with them, or ``leave_out``, of all splits, under every ablation.
    """

    metric: Text | None = None
    ablation: Text = "zero"
    rescale: bool = False
    examples: Positive | None = 60
    unpaired: Text = "refuse"


class AskingSpec(_Section):
    """How the task is asked; see `load_task`."""

    data: Text | None = None
    shots: Count = 0
    seed: Seed = 0
    cut: Text = "seeded"
    chat: bool | Text | None = None
    form: Text | None = None
    partner: Text | None = None


class DesignSpec(_Section):
    """Which masks are evaluated; see `designs`.

    Attributes:
        kind: ``biased``, ``uniform``, ``paired``, ``stratified`` or ``spex``.
        budget: number of masks that are asked all questions; where masks are asked some questions each, as
            many answers as these would have are spread over more masks.
        questions: how many questions each mask is asked: ``all``, a number, or ``auto``, see
            `choose_questions`. Coded designs (``spex``) and games without questions are asked all.
        first: number of masks to use, the first ones; None for all. `explain` sets it to what it spent.
        keep_rate: for ``biased``: one rate above 0 and below 1; ``[low, high]`` from 0 to 1, drawn for
            every mask; or ``auto``: the range that a pilot finds, see `find_keep_rates`.
        check: masks of the same kind evaluated on top and held out, to measure faithfulness; counted as
            the budget is.
        seed: seed of the masks.
    """

    kind: Text = "biased"
    budget: Positive = 40
    questions: Asked = AUTO
    first: Positive | None = None
    keep_rate: Rate = AUTO
    check: Count = 10
    seed: Seed = 0


class DecodeSpec(_Section):
    """How the spectrum is found; see `decode`."""

    method: Text = "auto"
    seed: Seed = 0


class InteractionsSpec(_Section):
    """Which interactions are reported; see `interactions`."""

    index: Text = "FBII"
    order: Positive = 2


class PruneSpec(_Section):
    """Pruned sizes and what they may cost; see `prune`.

    Attributes:
        keep: numbers of players to keep, or shares of them such as 0.5; the pruning curve has a point
            for each.
        ablations: true ablations spent on checking and improving each size.
        baselines: methods to compare ours with, any of `compare.METHODS`; each may spend as many
            ablations as ours, design included. None of them keeps limits.
        per_layer: most players kept in a layer; None for no such limit.
        kv_groups: most key/value groups kept.
        servable: a form of export, see `servable`: only sets that it holds are kept, and sizes given as
            shares are lowered to one that it can have. ``auto`` is the stock form that binds least among
            those that the model's architecture has, none where it has none.
        parameters: most parameters in the kept players, a number or a share.
        export: the size whose model is exported; ``auto`` for the smallest one whose loss the noise of
            the validation questions can hide, see `choose_size`; None for none.
        tolerance: loss that ``auto`` accepts whatever the noise, in units of the metric.
        errors: number of standard errors that ``auto`` accepts on top.
        mode: ``dense`` or ``compact``, see `export`.
        form: with ``compact``, the form of the checkpoint, see `export`.
        even: with ``compact``, write a stock checkpoint although layers keep unequally many players.
        measure: with ``compact``, measure size and speed for the model card.
        seed: seed of the search and of the bootstrap.
    """

    keep: list[Size] = [16, 10]
    ablations: Count = 15
    baselines: list[Text] = ["lasso ranking", "best of random"]
    per_layer: Count | None = None
    kv_groups: Count | None = None
    parameters: Parameters | None = None
    servable: Text | None = None
    export: Size | Text | None = 16
    tolerance: Finite = 0.0
    errors: Finite = 1.0
    mode: Text = "dense"
    form: Text = "own"
    even: bool = False
    measure: bool = False
    seed: Seed = 0


class CircuitSpec(_Section):
    """How the exported kept set is tested as a circuit; see `circuit`.

    Attributes:
        subsets: random knock-outs that completeness is measured on; 0 leaves the circuit out of a run.
        questions: number of test questions to use, spread over all of them; None for all.
        ablations: kinds of ablation under which the kept set is shown side by side, as in `GameSpec`; under
            ``optimal`` the constants are fitted for this set. Questions that have no partner for
            ``counterfactual`` are left out under all of them.
        seed: seed of the knock-outs and of the bootstrap.
    """

    subsets: Count = 6
    questions: Positive | None = 120
    ablations: list[Text] = []
    seed: Seed = 0


class RunSpec(_Section):
    """One run, from model to report.

    Attributes:
        others: tasks that the exported model is asked besides its own, so that what pruning did to them is
            seen, see `compare_step`. ``auto`` takes two that come with the library and that the model can be
            asked; an empty list compares the run's own task alone; None compares nothing.
    """

    model: Text = "embedded"
    task: Text = "embedded/people"
    players: Text = "heads"
    asking: AskingSpec = AskingSpec()
    game: GameSpec = GameSpec()
    design: DesignSpec = DesignSpec()
    decode: DecodeSpec = DecodeSpec()
    interactions: InteractionsSpec = InteractionsSpec()
    prune: PruneSpec = PruneSpec()
    circuit: CircuitSpec = CircuitSpec()
    others: list[Text] | Literal["auto"] | None = None


def read_spec(
    file: str | Path | None, settings: Sequence[str] = (), *, base: Mapping[str, Any] | None = None
) -> RunSpec:
    """Read a spec file and apply ``key=value`` settings to it.

    Args:
        file: a ``.toml``, ``.yaml`` or ``.yml`` file; None for the defaults.
        settings: such as ``"design.budget=500"``; a value that is not TOML is taken as text.
        base: keys and values where no file is given; it is not changed.

    Raises:
        MissingFileError: the file does not exist.
        InputError: a file that cannot be read, an unknown key or a value of the wrong type.
    """
    raw = copy.deepcopy(dict(base or {})) if file is None else _parse(Path(file))
    return with_settings(raw, settings)


def with_settings(raw: dict[str, Any], settings: Sequence[str]) -> RunSpec:
    """The spec of keys and values as a file holds them, with ``key=value`` settings applied.

    Args:
        raw: sections and keys; the settings are written into it.
        settings: see `read_spec`.

    Raises:
        InputError: an unknown key or a value of the wrong type.
    """
    if not isinstance(raw, dict):
        raise InputError(f"a spec is {quoted(raw)}, expected keys and values")
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise InputError(
                f"cannot read setting {quoted(setting)}; write key=value, as in design.budget=500"
            )
        _put(raw, path.strip().split("."), _value(text.strip()), setting)
    try:
        return RunSpec.model_validate(raw)
    except ValidationError as error:
        raise InputError(_message(error)) from None


def _parse(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise MissingFileError(f"spec {str(file)!r} does not exist; give a .toml or .yaml file")
    if file.suffix not in _PARSERS:
        raise InputError(
            f"spec {str(file)!r} ends in {file.suffix!r}; expected .toml, .yaml or .yml"
        )
    text = read_text(file, most=MOST_BYTES)
    raw = _PARSERS[file.suffix](text, f"cannot read spec {str(file)!r}: it")
    if raw is None:  # an empty file of YAML
        return {}
    if not isinstance(raw, dict):
        raise InputError(
            f"spec {str(file)!r} holds a {type(raw).__name__}, expected keys and values"
        )
    return raw


_PARSERS = {".toml": parse_toml, ".yaml": parse_yaml, ".yml": parse_yaml}


def _value(text: str) -> Any:
    if text in ("none", "null"):
        return None
    try:
        parsed = parse_toml(f"value = {text}", "the setting")
    except InputError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _put(raw: dict[str, Any], path: list[str], value: Any, setting: str) -> None:
    for key in path[:-1]:
        raw = raw.setdefault(key, {})
        if not isinstance(raw, dict):
            raise InputError(
                f"setting {quoted(setting)} goes through {quoted(key)}, which is not a section"
            )
    raw[path[-1]] = value


def _message(error: ValidationError) -> str:
    """The first mistake in a spec, as a sentence; what other types a key may have is said with it."""
    errors = error.errors(include_url=False)
    first, path = errors[0], _path(errors[0]["loc"])
    if first["type"] == "extra_forbidden":
        return _unknown_key(path)
    if first["type"] == "invalid_key":
        return f"key {quoted('.'.join(path))} is not text; expected the keys of a spec"
    messages = [_EXPECTED.get(e["type"], e["msg"]) for e in errors if _path(e["loc"]) == path]
    words = (m.removeprefix("Value error, ").removeprefix("Input should be ") for m in messages)
    expected = " or ".join(dict.fromkeys(words)).lower()
    return f"{quoted('.'.join(path))} is {quoted(first['input'])}: input should be {expected}"


_EXPECTED = {"model_type": "keys and values"}


def _path(loc: Sequence[str | int]) -> list[str]:
    """Where a mistake is: keys and places in lists, without the types that pydantic has tried."""
    path: list[str] = []
    fields: Any = RunSpec.model_fields
    for part in loc:
        if fields is not None:
            path.append(str(part))
            fields = getattr(getattr(fields.get(part), "annotation", None), "model_fields", None)
        elif isinstance(part, int):
            path.append(str(part))
    return path


def _unknown_key(path: Sequence[str]) -> str:
    """What to say of a key that there is not."""
    keys: Any = RunSpec.model_fields
    for part in path[:-1]:
        keys = keys[part].annotation.model_fields
    near = difflib.get_close_matches(path[-1][:100], keys, n=1, cutoff=0.0)[0]
    return (
        f"unknown key {quoted('.'.join(path))}; did you mean {'.'.join([*path[:-1], near])!r}? "
        f"Keys there: {', '.join(keys)}"
    )

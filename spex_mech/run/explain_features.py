"""`explain_features`: an input's parts explained into a run's folder, which has a report of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory

from spex_mech.core.errors import InputError, OutputExistsError
from spex_mech.core.interactions import Interactions, interactions
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.decode import decode, decoder
from spex_mech.decoders.explain import Explanation, explain
from spex_mech.evaluation.evaluate import evaluate
from spex_mech.features.game import FeatureGame
from spex_mech.features.spans import Passage
from spex_mech.features.view import View, view_of
from spex_mech.run.designs import check_design, search_design
from spex_mech.run.explain import save_explained
from spex_mech.run.explained_input import INPUT, input_to_json, kind_of
from spex_mech.run.folder import RunFolder, claim, open_folder
from spex_mech.run.records import HeldOut
from spex_mech.run.spec import RunSpec, with_settings

_MASKS_A_PLAYER = 16
_FEWEST = 256
_ALL = 12  # players all of whose masks are taken where the budget allows them


@dataclass(frozen=True, eq=False)
class FeatureExplanation:
    """What was found out about an input.

    Attributes:
        game: the input as a game.
        found: masks, values and spectrum.
        interactions: the index asked for.
        held_out: the fit to held-out masks; None without any, or where their values are all equal.
        folder: the run's folder; None where nothing was kept.
    """

    game: FeatureGame
    found: Explanation = field(repr=False)
    interactions: Interactions
    held_out: HeldOut | None = field(repr=False)
    folder: Path | None

    def view(self, top: int = 8) -> View:
        """What to look at, with so many of the strongest interactions; see `features.view`."""
        game, spectrum = self.game, self.found.spectrum
        names, value = game.players.names, game.reading.label
        return view_of(game.subject, names, value, spectrum, self.interactions, top=top)

    def summary(self, width: int = 88, *, color: bool = False, top: int = 8) -> str:
        """What a terminal shows: the game, the text with its interactions, and how good the fit is."""
        shown = self.view(top)
        body = (
            shown.terminal(width, color=color)
            if isinstance(self.game.subject, Passage)
            else str(shown)
        )
        lines = [repr(self.game), "", body, "", self.found.message]
        if self.held_out is not None:
            r2 = self.held_out.r2
            lines.append(f"R² {r2.mean:.3f} [{r2.low:.3f}, {r2.high:.3f}] on {r2.n} held-out masks")
        return "\n".join(lines)


def explain_features(
    game: FeatureGame,
    out: str | Path | None = None,
    *,
    budget: int | None = None,
    target_r2: float | None = None,
    keep_rate: float | tuple[float, float] = 0.5,
    check: int = 40,
    method: str = "auto",
    index: str = "FBII",
    order: int = 2,
    seed: int = 0,
    command: str = "",
    progress: bool | None = None,
) -> FeatureExplanation:
    """Explain an input, and leave a run's folder that `write_report` makes a page of.

    >>> game = sm.features.image("models/vit", "bird.jpg", level="superpixels")
    >>> sm.explain_features(game, "runs/bird").view()
    >>> write_report("runs/bird")     # or: spex-mech report runs/bird

    The folder is one of a run: ``spex-mech decode`` and ``report`` go on from it without the model, and
    the input stands in ``input.json``. A folder of the same input and value is taken up, whatever the
    settings: what was scored is not scored again.

    Args:
        game: the input, from `features.text`, `features.image` or `features.image_text`.
        out: the folder; None keeps nothing.
        budget: masks to spend; by default 16 a part, at least 256. Where that is enough for all masks of
            at most 12 parts, all are taken and the spectrum is exact.
        target_r2: stop as soon as so good a fit is to be expected; see `explain`.
        keep_rate: share of the parts that a mask keeps, or a range that each mask draws its own from.
        check: masks evaluated on top and held out, to measure the fit; 0 for none. With all masks there
            are none.
        method: decoder, see `decode`.
        index: index of the interactions, see `interactions`.
        order: largest number of parts of an interaction.
        seed: seed of masks and decoder.
        command: what to call it in the report, where it was asked on a command line.
        progress: see `evaluate`.

    Raises:
        InputError: settings that make no sense, said before anything is evaluated; a model that fails.
        OutputExistsError: the folder holds something else, or another input.
    """
    if target_r2 is not None and not 0 < target_r2 <= 1:
        raise InputError(f"target_r2 is {target_r2}, expected a number above 0 and at most 1")
    spec = _spec(game, budget, keep_rate, check, method, index, order, seed)
    with _home(out) as home:
        folder = _claimed(home, spec, game, command)
        with folder.timed("explain"):
            found = _explained(folder, game, target_r2, progress)
        decoded = save_explained(folder, game, found, progress=progress)
        folder.save(INPUT, input_to_json(game, command))
    kept = None if out is None else Path(out)
    return FeatureExplanation(game, found, decoded.interactions, decoded.held_out, kept)


def _spec(
    game: FeatureGame,
    budget: int | None,
    keep_rate: float | tuple[float, float],
    check: int,
    method: str,
    index: str,
    order: int,
    seed: int,
) -> RunSpec:
    """What is asked, checked."""
    n = game.players.n
    usual = min(2 ** min(n, 40), max(_FEWEST, _MASKS_A_PLAYER * n))
    spent = usual if budget is None else budget
    rate = list(keep_rate) if isinstance(keep_rate, tuple) else keep_rate
    counts = {"budget": spent, "check": check, "seed": seed}
    counts = {k: int(v) if isinstance(v, Integral) else v for k, v in counts.items()}  # NumPy's too
    design = {"kind": "biased", "keep_rate": rate, **counts}
    if every := n <= _ALL and spent >= 2**n:
        design |= {"kind": "uniform", "budget": 2**n, "check": 0}
    asked = game.asked
    levels = [asked[k] for k in ("image_level", "text_level", "level") if k in asked]
    spec = with_settings(
        {
            "model": asked.get("model", "unknown"),
            "task": kind_of(game.subject),
            "players": " and ".join(levels),
            "design": design,
            "decode": {"method": "auto" if every else method, "seed": counts["seed"]},
            "interactions": {"index": index, "order": min(order, n)},
        },
        (),
    )
    search_design(spec.design, n)
    check_design(spec.design, n)
    decoder(method)
    interactions(Spectrum.from_supports([()], [0.0], n), index, spec.interactions.order)
    return spec


@contextmanager
def _home(out: str | Path | None) -> Iterator[Path]:
    if out is not None:
        yield Path(out)
        return
    with TemporaryDirectory(prefix="spex-mech-") as made:
        yield Path(made) / "run"


def _claimed(path: Path, spec: RunSpec, game: FeatureGame, command: str) -> RunFolder:
    """A new folder, or one of the same input."""
    if not (path / INPUT).is_file():
        folder = claim(path, spec)
        folder.save(INPUT, input_to_json(game, command))
        return folder
    folder = open_folder(path)
    key: dict[str, str] = folder.read(INPUT, lambda content: dict(content["key"]))
    differing = sorted(k for k in {*key, *game.key} if key.get(k) != game.key.get(k))
    if differing:
        raise OutputExistsError(
            f"{path} exists; choose a new folder (its run has another {', '.join(differing)}; a run is "
            "taken up by the same model, input and value)"
        )
    return replace(folder, spec=spec)


def _explained(
    folder: RunFolder, game: FeatureGame, target_r2: float | None, progress: bool | None
) -> Explanation:
    """All masks where the spec has them, else rounds of random ones."""
    asked, n = folder.spec.design, game.players.n
    method, seed = folder.spec.decode.method, folder.spec.decode.seed
    if asked.kind == "biased":
        rate = asked.keep_rate
        return explain(
            game,
            budget=asked.budget,
            target_r2=target_r2,
            keep_rate=tuple(rate) if isinstance(rate, list) else rate,
            method=method,
            store=folder.masks,
            seed=seed,
            progress=progress,
        )
    design = search_design(asked, n)
    run = evaluate(game, design, store=folder.masks, progress=progress)
    spectrum = decode(design, run.values, method=method, seed=seed)
    message = f"all {2**n} masks: {spectrum.info.get('message', '')}"
    return Explanation(spectrum, run, (), False, message)

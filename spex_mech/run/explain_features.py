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
from spex_mech.decoders.explain import Explanation
from spex_mech.evaluation.evaluate import evaluate
from spex_mech.features.game import FeatureGame
from spex_mech.features.options import ExplainOptions
from spex_mech.features.spans import Passage
from spex_mech.features.view import View, view_of
from spex_mech.run.decode import Decoded, decode_folder, save_decoded
from spex_mech.run.designs import check_design, search_design
from spex_mech.run.explain import explain_into
from spex_mech.run.explained_input import INPUT, input_to_json, kind_of
from spex_mech.run.folder import RunFolder
from spex_mech.run.opening import claim, open_folder, save_spec
from spex_mech.run.records import HeldOut
from spex_mech.run.spec import RunSpec
from spex_mech.run.spec_file import with_settings

_MASKS_PER_PLAYER = 16
_FEWEST = 256
_ALL = 12  # players all of whose masks are taken where the budget allows them


@dataclass(frozen=True, eq=False)
class FeatureExplanation:
    """An explained input.

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
        """The input with at most ``top`` of its strongest interactions; see `features.view`."""
        game, spectrum = self.game, self.found.spectrum
        names, value = game.players.names, game.reading.label
        return view_of(game.subject, names, value, spectrum, self.interactions, top=top)

    def summary(self, width: int = 88, *, color: bool = False, top: int = 8) -> str:
        """What a terminal shows: the game, the text with its interactions, and how good the fit is."""
        view = self.view(top)
        body = (
            view.terminal(width, color=color)
            if isinstance(self.game.subject, Passage)
            else str(view)
        )
        return "\n".join([repr(self.game), "", body, "", self.found.message])


def explain_features(
    game: FeatureGame,
    out: str | Path | None = None,
    *,
    budget: int | None = None,
    target_r2: float | None = None,
    method: str = "auto",
    seed: int = 0,
    options: ExplainOptions | None = None,
    progress: bool | None = None,
) -> FeatureExplanation:
    """Explain an input, and leave a run's folder that `write_report` makes a page of.

    >>> game = sm.features.image("models/vit", "bird.jpg", level="superpixels")
    >>> sm.explain_features(game, "runs/bird").view()
    >>> sm.write_report("runs/bird")     # or: spex-mech report runs/bird

    The folder is that of a run: ``spex-mech decode`` and ``report`` continue from it without the model;
    the input is in ``input.json``. A folder of the same input and value is continued, whatever the
    settings: masks that were scored are not scored again.

    Args:
        game: the input, from `features.text`, `features.image` or `features.image_text`.
        out: the folder; None keeps nothing.
        budget: masks to spend; by default 16 per part, at least 256. Where that is enough for all masks of
            at most 12 parts, all are taken, the spectrum is exact, and no masks are held out.
        target_r2: stop as soon as R² reaches this on the masks held out, by the lower end of its 95 %
            interval; by cross-validation where none are. See `Round.reaches`.
        method: decoder, see `decode`.
        seed: seed of masks and decoder.
        options: how masks are drawn, the fit checked and interactions read, see `ExplainOptions`.
        progress: see `evaluate`.

    Raises:
        InputError: settings that make no sense, refused before anything is evaluated; a model that fails.
        OutputExistsError: the folder holds something else, or another input.
    """
    if target_r2 is not None and not 0 < target_r2 <= 1:
        raise InputError(f"target_r2 is {target_r2}, expected a number above 0 and at most 1")
    options = options or ExplainOptions()
    spec = _spec(game, budget, method, seed, options)
    with _run_path(out) as path:
        folder = _claimed(path, spec, game, options.command)
        if spec.design.kind == "biased":
            explanation, decoded = explain_into(folder, game, spec, target_r2, progress=progress)
        else:
            explanation, decoded = _every_mask(folder, game, progress)
        folder.save(INPUT, input_to_json(game, options.command))
    kept = None if out is None else Path(out)
    return FeatureExplanation(game, explanation, decoded.interactions, decoded.held_out, kept)


def _spec(
    game: FeatureGame, budget: int | None, method: str, seed: int, options: ExplainOptions
) -> RunSpec:
    """The settings as a run's spec, checked."""
    n = game.players.n
    usual = min(2 ** min(n, 40), max(_FEWEST, _MASKS_PER_PLAYER * n))
    spent = usual if budget is None else budget
    rate = list(options.keep_rate) if isinstance(options.keep_rate, tuple) else options.keep_rate
    counts = {"budget": spent, "check": options.check, "seed": seed}
    counts = {k: int(v) if isinstance(v, Integral) else v for k, v in counts.items()}  # NumPy's too
    design = {"kind": "biased", "keep_rate": rate, **counts}
    if every := n <= _ALL and spent >= 2**n:
        design |= {"kind": "uniform", "budget": 2**n, "check": 0}
    settings = game.settings
    levels = [settings[k] for k in ("image_level", "text_level", "level") if k in settings]
    spec = with_settings(
        {
            "model": settings.get("model", "unknown"),
            "task": kind_of(game.subject),
            "players": " and ".join(levels),
            "design": design,
            "decode": {"method": "auto" if every else method, "seed": counts["seed"]},
            "interactions": {"index": options.index, "order": min(options.order, n)},
        },
        (),
    )
    search_design(spec.design, n)
    check_design(spec.design, n)
    decoder(method)
    interactions(Spectrum.from_supports([()], [0.0], n), options.index, spec.interactions.order)
    return spec


@contextmanager
def _run_path(out: str | Path | None) -> Iterator[Path]:
    if out is not None:
        yield Path(out)
        return
    with TemporaryDirectory(prefix="spex-mech-") as temporary:
        yield Path(temporary) / "run"


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
            "continued by the same model, input and value)"
        )
    return replace(folder, spec=spec)


def _every_mask(
    folder: RunFolder, game: FeatureGame, progress: bool | None
) -> tuple[Explanation, Decoded]:
    """Evaluate and decode all masks of few parts."""
    spec, n = folder.spec, game.players.n
    with folder.timed("explain"):
        design = search_design(spec.design, n)
        run = evaluate(game, design, store=folder.masks, progress=progress)
        decoder = spec.decode
        spectrum = decode(design, run.values, method=decoder.method, seed=decoder.seed)
    save_spec(folder)
    decoded = decode_folder(folder, spectrum)
    save_decoded(decoded, folder)
    message = f"all {2**n} masks: {spectrum.info.get('message', '')}"
    return Explanation(spectrum, run, (), False, message), decoded

"""The methods of the benchmark: ours, the baselines and the peers, in one table.

A method gets a `Problem` and gives an `Answer`. Only its own fitting is timed, in seconds of CPU.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import baselines

from spex_mech.core.errors import InputError
from spex_mech.core.masks import pack
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.decode import decode
from spex_mech.decoders.gp.decode import walsh_gp
from spex_mech.decoders.lasso import lasso
from spex_mech.decoders.proxyspex import proxyspex
from spex_mech.decoders.trees import tree_spectrum
from spex_mech.designs import MaskDesign
from spex_mech.designs.spex import spex as spex_design


@dataclass(frozen=True, eq=False)
class Problem:
    """A complete game, and the masks that every method is given; equal to itself only."""

    table: np.ndarray
    design: MaskDesign
    seed: int

    def game(self, masks: np.ndarray) -> np.ndarray:
        """Values of any masks; 0/1 arrays will do."""
        return self.table[pack(np.asarray(masks).astype(bool))[:, 0].astype(np.int64)]

    @property
    def values(self) -> np.ndarray:
        """Values of the design's masks."""
        return self.game(self.design.masks)


@dataclass(frozen=True)
class Answer:
    """What a method found, the CPU seconds it took, and the masks it has seen."""

    spectrum: Spectrum | None
    seconds: float
    seen: np.ndarray
    indices: dict[str, dict[tuple[int, ...], float]] = field(default_factory=dict)


Method = Callable[[Problem], Answer]


def _decoder(fit: Callable[..., Spectrum], **options: object) -> Method:
    def method(problem: Problem) -> Answer:
        values = problem.values
        start = time.process_time()
        spectrum = fit(problem.design, values, seed=problem.seed, **options)
        return Answer(spectrum, time.process_time() - start, problem.design.masks)

    return method


def _unseeded(fit: Callable[..., Spectrum]) -> Callable[..., Spectrum]:
    """A method that draws nothing, called as those that do."""
    return lambda design, values, *, seed, **options: fit(design, values, **options)


def _boosted_trees(problem: Problem) -> Answer:
    """The published proxy as it is: 500 trees of depth 5, all their Fourier terms, nothing refitted."""
    import xgboost

    masks, values = problem.design.masks.astype(np.float32), problem.values
    start = time.process_time()
    model = xgboost.XGBRegressor(
        n_estimators=500, max_depth=5, learning_rate=0.1, max_bin=2, n_jobs=1
    )
    model.fit(masks, values)
    spectrum = tree_spectrum(model.get_booster(), problem.design.n)
    return Answer(spectrum, time.process_time() - start, problem.design.masks)


def _spex(problem: Problem) -> Answer:
    """Our SPEX, on the largest coded design within the budget."""
    design = spex_design(problem.design.n, len(problem.design), seed=problem.seed)
    values = problem.game(design.masks)
    start = time.process_time()
    spectrum = decode(design, values, method="spex", seed=problem.seed)
    return Answer(spectrum, time.process_time() - start, design.masks)


def _kernel_shap(problem: Problem) -> Answer:
    """KernelSHAP on the same masks, and the values of no and of all players besides."""
    values = problem.values
    start = time.process_time()
    found = baselines.kernel_shap(
        problem.design, values, empty=float(problem.table[0]), full=float(problem.table[-1])
    )
    seconds = time.process_time() - start
    return Answer(None, seconds, problem.design.masks, {"Shapley": dict(found.values)})


def _from_terms(terms: Iterable[tuple[tuple[int, ...], float]], n: int) -> Spectrum:
    pairs = list(terms)
    return Spectrum.from_supports([s for s, _ in pairs], [float(np.real(c)) for _, c in pairs], n)


@dataclass(frozen=True)
class Proxyspex:
    """A fit of shapiq's ProxySPEX: all terms of its trees, the refitted ones, CPU seconds until each.

    ``refitted`` is what shapiq gives; it is None where its refit fails.
    """

    trees: Spectrum
    trees_seconds: float
    refitted: Spectrum | None
    seconds: float


class _Done(Exception):
    """Ends shapiq's ProxySPEX after its refit."""


def shapiq_proxyspex(
    design: MaskDesign, game: Callable[[np.ndarray], np.ndarray], seed: int
) -> Proxyspex:
    """ProxySPEX of shapiq 1.8 as it is shipped, on the design's masks."""
    import shapiq

    if not hasattr(shapiq.approximator, "ProxySHAP"):
        raise ImportError(f"shapiq {shapiq.__version__}; expected 1.8, which needs Python 3.12")
    peer = shapiq.ProxySPEX(n=design.n, index="FBII", max_order=2, random_state=seed)
    peer._sampler = _Fixed(design.masks)
    refine, caught = peer._refine, []

    def catch(terms: dict, *arguments: object) -> None:
        caught.append((terms, time.process_time()))
        try:
            refitted = refine(terms, *arguments)
        except IndexError:  # it reads past its last term
            refitted = None
        caught.append((refitted, time.process_time()))
        raise _Done

    peer._refine = catch
    start = time.process_time()
    with suppress(_Done):
        peer.approximate(len(design), game)
    (trees, trees_end), (refitted, end) = caught
    return Proxyspex(
        _from_terms(trees.items(), design.n),
        trees_end - start,
        None if refitted is None else _from_terms(refitted.items(), design.n),
        end - start,
    )


@lru_cache(maxsize=1)
def _proxyspex_fit(problem: Problem) -> Proxyspex:
    return shapiq_proxyspex(problem.design, problem.game, problem.seed)


def _shapiq_proxyspex(problem: Problem) -> Answer:
    found = _proxyspex_fit(problem)
    if found.refitted is None:
        raise InputError("its refit fails")
    return Answer(found.refitted, found.seconds, problem.design.masks)


def _shapiq_proxyspex_trees(problem: Problem) -> Answer:
    found = _proxyspex_fit(problem)
    return Answer(found.trees, found.trees_seconds, problem.design.masks)


def proxyshap_trees(design: MaskDesign, values: np.ndarray, seed: int) -> Spectrum:
    """All Fourier terms of the trees that ProxySHAP of shapiq 1.8 fits by default."""
    from shapiq.approximator import ProxySHAP
    from shapiq.approximator.proxy._routes import tree_to_fourier

    model = ProxySHAP(design.n, random_state=seed).proxy_model
    model.fit(design.masks, values)
    return _from_terms(tree_to_fourier(model, design.n).items(), design.n)


@dataclass
class _Fixed:
    """Stands in for shapiq's sampler: the masks are chosen already."""

    coalitions_matrix: np.ndarray

    def sample(self, budget: int) -> None:
        """Nothing to do."""


def _shapiq_index(name: str, index: str, order: int) -> Method:
    """A shapiq approximator of one index, on masks of its own choice and the same budget."""

    def method(problem: Problem) -> Answer:
        import shapiq

        n, seed = problem.design.n, problem.seed
        options = {"max_order": order, "index": index} if order > 1 else {}
        peer = getattr(shapiq, name)(n=n, random_state=seed, **options)
        start = time.process_time()
        found = peer.approximate(len(problem.design), problem.game)
        seconds = time.process_time() - start
        values = {s: float(found[s]) for s in found.interaction_lookup if s}
        key = "Shapley" if order == 1 else index
        return Answer(None, seconds, problem.design.masks, {key: values})

    return method


def _shapiq_spex(problem: Problem) -> Answer:
    """SPEX of shapiq with soft decoding, on masks of its own choice within the budget."""
    from shapiq import SPEX

    peer = SPEX(n=problem.design.n, index="FBII", max_order=2, random_state=problem.seed)
    caught, seen = {}, []

    def game(masks: np.ndarray) -> np.ndarray:
        seen.append(np.asarray(masks).astype(bool))
        return problem.game(masks)

    process = peer._process_moebius

    def catch(moebius_transform: dict) -> np.ndarray:
        caught["end"] = time.process_time()
        caught["terms"] = moebius_transform
        return process(moebius_transform=moebius_transform)

    peer._process_moebius = catch
    start = time.process_time()
    try:
        peer.approximate(len(problem.design), game)
    except ValueError as error:  # the budget is too small for it
        raise InputError(str(error)) from error
    spectrum = _from_moebius(caught["terms"], problem.design.n)
    return Answer(spectrum, caught["end"] - start, np.vstack(seen))


def _from_moebius(terms: dict, n: int) -> Spectrum:
    from spex_mech.core.interactions import Interactions, to_spectrum

    values = {tuple(int(i) for i in s): float(np.real(a)) for s, a in terms.items()}
    return to_spectrum(Interactions("Moebius", n, n, values, 0.0))


def _spectralexplain(problem: Problem) -> Answer:
    """ProxySPEX of spectralexplain on the same masks."""
    import spectralexplain

    masks, values = problem.design.masks.astype(int), problem.values
    start = time.process_time()
    terms = spectralexplain.utils.proxy_spex((masks, values), max_order=5)
    seconds = time.process_time() - start
    supports = ((tuple(np.flatnonzero(s).tolist()), c) for s, c in terms.items())
    return Answer(_from_terms(supports, problem.design.n), seconds, problem.design.masks)


OURS: dict[str, Method] = {
    "auto": _decoder(decode),
    "walsh_gp": _decoder(walsh_gp),
    "proxyspex": _decoder(proxyspex),
    "boosted trees": _boosted_trees,
    "spex": _spex,
    "lasso 1": _decoder(lasso, order=1),
    "lasso 2": _decoder(lasso, order=2),
    "LIME": _decoder(_unseeded(baselines.lime)),
    "Faith-Banzhaf 2": _decoder(_unseeded(baselines.faith_banzhaf), order=2),
    "KernelSHAP": _kernel_shap,
}
PEERS: dict[str, Method] = {
    "shapiq ProxySPEX": _shapiq_proxyspex,
    "shapiq ProxySPEX, no refit": _shapiq_proxyspex_trees,
    "shapiq ProxySHAP trees": _decoder(proxyshap_trees),
    "shapiq KernelSHAP": _shapiq_index("KernelSHAP", "SV", 1),
    "shapiq KernelSHAPIQ": _shapiq_index("KernelSHAPIQ", "SII", 2),
    "spectralexplain ProxySPEX": _spectralexplain,
    "shapiq SPEX": _shapiq_spex,
}
METHODS = OURS | PEERS

"""Run specs: the sections and keys of all that a run depends on."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from spex_mech.run.spec_values import (
    AUTO,
    Asked,
    Budget,
    Count,
    Finite,
    Parameters,
    Positive,
    Rate,
    Seed,
    Size,
    Target,
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
            many answers as these would have are spread over more masks. Or ``auto``: masks are evaluated in
            rounds, see `explain`, until R² on the held-out masks reaches ``target_r2`` or ``max_budget`` is
            spent; ``biased`` and ``stratified`` masks can be.
        target_r2: with ``auto``, the R² to reach by the lower end of its 95 % interval, see `Round.reaches`.
        max_budget: with ``auto``, the most masks, counted as ``budget`` is.
        questions: how many questions each mask is asked: ``all``, a number, or ``auto``, see
            `choose_questions`. Coded designs (``spex``) and games without questions are asked all.
        first: number of masks to use, the first ones; None for all. Rounds set it to what they spent.
        keep_rate: for ``biased``: one rate above 0 and below 1; ``[low, high]`` from 0 to 1, drawn for
            every mask; or ``auto``: the range that a pilot finds, see `find_keep_rates`.
        check: masks of the same kind evaluated on top and held out, to measure faithfulness; counted as
            the budget is.
        seed: seed of the masks.
    """

    kind: Text = "biased"
    budget: Budget = 40
    target_r2: Target = 0.9
    max_budget: Positive = 400
    questions: Asked = AUTO
    first: Positive | None = None
    keep_rate: Rate = AUTO
    check: Count = 10
    seed: Seed = 0

    @property
    def in_rounds(self) -> bool:
        """Whether masks are evaluated in rounds, until the spectrum is good enough."""
        return self.budget == AUTO

    @property
    def most(self) -> int:
        """The most masks, counted as ``budget`` is."""
        return self.max_budget if isinstance(self.budget, str) else self.budget


class DecodeSpec(_Section):
    """How the spectrum is found; see `decode`.

    Attributes:
        method: the decoder.
        seed: its seed.
        gradients: with more than 32 parts of a model as players and method ``auto``, ``stack`` or
            ``walsh_gp``, take the gradients of the metric by the players' gates before anything is ablated,
            and give them to the decoder. They cost as much as 4 ablations, and count as such in what each
            method of pruning may spend.
    """

    method: Text = "auto"
    seed: Seed = 0
    gradients: bool = True


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
        proposals: whose sets are ablated first at every size: ``lasso``, a LASSO of the design's answers, or
            ``gradients`` of the metric by gates of the players, which cost as much as 12 ablations.
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
    proposals: Text = "lasso"
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

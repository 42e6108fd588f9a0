"""What the words of a report mean, for somebody who has not read a paper on it."""

from __future__ import annotations

from spex_mech.core.players import PlayerSet
from spex_mech.report.contents import Contents

_KINDS = {
    "head": "attention heads",
    "kv": "key/value groups",
    "mlp": "MLPs",
    "layer": "layers",
}
_METRICS = {
    "margin": "the logit of the right answer minus that of the best wrong one; above 0 the answer is right",
    "accuracy": "the share of questions answered right; a tie counts as wrong",
    "accuracy_first": "the share of questions answered right; of equal answers the first counts",
    "logprob": "the log-probability of the right answer; 0 would be certainty",
    "brier": "minus the Brier score of the answers' probabilities; 0 would be certainty of the right one",
    "kl": "minus the Kullback-Leibler divergence from the whole model's answers; 0 means unchanged answers",
}
_NORMED = ", where the log-probability of each answer is divided by its length"
_ABLATIONS = {
    "zero": "its output is set to zero",
    "mean": "its output is replaced by its mean over other prompts",
    "resample": "its output is replaced by what it was on another prompt",
    "counterfactual": "its output is replaced by what it was on a prompt with another answer",
    "optimal": "its output is replaced by the constant that costs least",
}
_INDICES = {
    "FBII": "the faithful Banzhaf interaction index: the coefficients of the sum over single players and "
    "small sets that comes nearest to the value over all masks",
    "FSII": "the faithful Shapley interaction index: as FBII, with small and large masks weighing more",
    "BII": "the Banzhaf interaction index: the effect of the set beyond that of its parts, averaged over "
    "which other players are present",
    "SII": "the Shapley interaction index: as BII, with every number of present players weighing the same",
    "STII": "the Shapley-Taylor interaction index: the value of all players, shared out among sets",
    "Shapley": "the Shapley value: what a player adds, averaged over the orders in which players can join",
    "Banzhaf": "the Banzhaf value: what a player adds, averaged over which others are present",
    "Moebius": "the Moebius coefficient: what the set adds, alone, to what its smaller sets add",
    "Fourier": "the Fourier coefficient of the set",
}

_METHODS = {
    "ours": "the search that reads the spectrum and checks what it proposes by ablations",
    "lasso ranking": "keeps the players of largest effect in a linear fit to the same masks",
    "best of random": "the best of as many random sets as ours may try",
    "random": "one random order",
    "greedy removal": "removes one player after the other, the one that is missed least",
    "knock-out": "ranks players by what is lost without each",
    "taylor": "ranks players by gradient times output, without its sign",
    "attention entropy": "ranks heads by how sharply they attend",
    "attribution patching": "ranks players by gradient times the change of output that ablation makes",
    "integrated gradients": "the same, with gradients along the way to the ablated model",
    "gradient search": "begins with what gradients propose, and ablates near it",
    "stratified knock-outs": "ranks players by knock-outs among sets of every size",
    "output norm": "ranks heads by the size of their output",
}


def noun(players: PlayerSet) -> str:
    """What the players are called: ``attention heads``, ``parts``, ..."""
    kinds = {p.kind for p in players}
    return _KINDS.get(next(iter(kinds)), "parts") if len(kinds) == 1 else "parts"


def metric_words(metric: str) -> str | None:
    """What a metric measures; None for one that is not the library's own."""
    plain = metric.removesuffix("_norm")
    if plain not in _METRICS:
        return None
    return _METRICS[plain] + (_NORMED if plain != metric else "")


def glossary(contents: Contents, metric: str) -> list[tuple[str, str]]:
    """Each word of the page with its meaning here."""
    called = noun(contents.players)
    removed = _ABLATIONS.get(str(contents.facts.get("ablation")))
    taken = "taken out of the input" if contents.input else "ablated"
    if removed and not contents.input:
        taken = f"ablated: {removed}"
    over = f", averaged over {contents.questions:,} questions" if contents.questions else ""
    meaning = metric_words(metric)
    rows = [
        ("player", f"one of the {contents.players.n} {called} that can be switched off here"),
        ("mask", f"says which players are present; each of the others is {taken}"),
        (
            "value",
            f"what is measured under a mask: the {metric}{over}{f' ({meaning})' if meaning else ''}",
        ),
        (
            "spectrum",
            "a formula found from some masks that predicts the value under any mask: a sum of few terms, "
            "each of which belongs to a set of players",
        ),
        ("effect of a player", f"{_INDICES['Banzhaf']}; positive: it helps, negative: it hurts"),
        (
            "interaction",
            "what a set of players does beyond what they do one by one. Positive (synergy): they are worth "
            "more together than apart. Negative (redundancy): they partly replace each other",
        ),
    ]
    if contents.interactions is not None and contents.interactions.index in _INDICES:
        index = contents.interactions.index
        rows.append((index, f"how interactions are counted here: {_INDICES[index]}"))
    rows.append(
        (
            "R²",
            "the share of the differences between masks that a prediction explains: 1 is perfect, 0 is no "
            "better than always predicting the mean",
        )
    )
    rows.append(
        (
            "[low, high]",
            "a 95 % interval: in repetitions with other questions or masks, 95 of 100 such intervals would "
            "hold the true number",
        )
    )
    return rows


def method_words(contents: Contents) -> list[tuple[str, str]]:
    """Each method of the pruning tables with what it does, in the tables' order."""
    used = dict.fromkeys(kept.method for kept in contents.kept)
    return [(name, _METHODS[name]) for name in used if name in _METHODS]

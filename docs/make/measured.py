"""Write docs/measured.md from the result files of the benchmarks: ``python docs/make/measured.py``.

The words stand in measured.template.md, the numbers in the tables and JSON files under analyses/. What stands
in no such file is quoted from the benchmark's README, and refused if it no longer stands there. A test
compares the page with what this writes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ANALYSES = HERE.parents[1] / "analyses"
PAGE = HERE.parent / "measured.md"
BUDGETS = ("100", "200", "500", "1000", "2000")
TRAINED = ("100", "250", "500", "1000")


def table(path: str, heading: str = "") -> list[dict[str, str]]:
    """Rows of the first Markdown table of a file, or of the first one behind a heading.

    Of two columns with the same name the first counts.
    """
    text = (ANALYSES / path).read_text(encoding="utf-8")
    block = re.search(r"(?:^\|[^\n]*\n)+", text[text.index(heading) :], re.MULTILINE)
    if block is None:
        raise LookupError(f"analyses/{path} has no table behind {heading!r}")
    lines = [[cell.strip() for cell in x.strip("|").split("|")] for x in block[0].splitlines()]
    names = [name or str(i) for i, name in enumerate(lines[0])]
    rows: list[dict[str, str]] = []
    for line in lines[2:]:
        rows.append({})
        for name, cell in zip(names, line, strict=False):
            rows[-1].setdefault(name, cell)
    return rows


def row(path: str, name: str, heading: str = "") -> dict[str, str]:
    """The row of a table whose first cell is a name."""
    return next(r for r in table(path, heading) if next(iter(r.values())) == name)


def data(path: str) -> Any:
    """A JSON file."""
    return json.loads((ANALYSES / path).read_text(encoding="utf-8"))


def said(path: str, words: str) -> str:
    """Words that stand in a benchmark's README.

    Raises:
        LookupError: they do not, or no longer.
    """
    text = " ".join((ANALYSES / path / "README.md").read_text(encoding="utf-8").split())
    if words not in text:
        raise LookupError(f"analyses/{path}/README.md does not say {words!r} any more")
    return words


def written(names: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in (names, *rows)]
    return "\n".join([lines[0], "|---" * len(names) + "|", *lines[1:]])


def by_budget(path: str, heading: str, methods: dict[str, str]) -> str:
    """A table of some methods at some numbers of masks."""
    rows = []
    for name, label in methods.items():
        cells = row(path, name, heading)
        rows.append([label, *(cells[budget] for budget in BUDGETS)])
    return written(["", *(f"{budget} masks" for budget in BUDGETS)], rows)


def learning() -> dict[str, str]:
    """What is said of decoders."""
    place = "benchmarks/decoders"
    methods = {"auto": "`auto` of this library", "shapiq ProxySPEX": "ProxySPEX of shapiq 1.8"}
    methods |= {
        "shapiq ProxySPEX, no refit": "its trees, not refitted",
        "proxyspex": "our ProxySPEX",
        "lasso 2": "LASSO of pairs",
        "spex": "SPEX, on masks of its own",
    }
    against = {r["masks"]: r for r in table(f"{place}/README.md", "**`auto` against the published")}
    trees = table(f"{place}/README.md", "**Without its refit**")
    speed = table(f"{place}/README.md", "**ProxySPEX against ProxySPEX**")
    faster = sorted((r["ratio"] for r in speed), key=float)
    own = row(f"{place}/results/summary.md", "walsh_gp", "### R² on masks not sampled")
    heads = [
        [r["method"], *(r[f"{masks} masks"].partition("]")[0] + "]" for masks in TRAINED)]
        for r in table("real_models/README.md", "**ioi**: R²")
        if r["method"] != "walsh_gp"
    ]
    return {
        "trained": written(["", *(f"{masks} masks" for masks in TRAINED)], heads),
        "decoders": by_budget(
            f"{place}/results/summary.md", "### R² on masks not sampled", methods
        ),
        "decoders_saved": said(place, "needs 50 and 87, which is 2.0 and 2.3 times fewer"),
        "decoders_most": against["2000"]["masks saved"].rstrip(" ×"),
        "decoders_needs": " and ".join(
            against[b]["shapiq needs"].rstrip(" ×") for b in ("100", "200")
        ),
        "decoders_trees": ", ".join(r["auto minus it"].split()[0] for r in trees),
        "proxyspex_least": faster[0],
        "proxyspex_most": faster[-1],
        "walsh_gp": ", ".join(own[budget] for budget in BUDGETS),
        "rows": said("benchmarks/rows", "needed 11.5 times fewer rows for an R² of .8"),
    }


def exactness() -> dict[str, str]:
    """What is said of many players, planted spectra and indices."""
    many = table("benchmarks/many_players/results.md", "### `auto` minus others")
    ahead = {r["other"]: r["R²"] for r in many}
    methods = {"spex_mech": "this library", "RegressionMSR": "RegressionMSR"}
    methods |= {"ProxySHAP adjusted": "ProxySHAP, adjusted", "LeverageSHAP": "LeverageSHAP"}
    aimed = row("benchmarks/rounds/results.md", "200", "## Relative error of Shapley values")
    fast = "340 to 1,500 times less. Against the reference's best (5.4 s) it is still 180"
    said("benchmarks/spex", fast)
    return {
        "many_proxyspex": ahead["proxyspex"],
        "many_lasso": ahead["lasso"],
        "many_best": ahead["the best of them"],
        "many_heads": said(
            "benchmarks/many_players", "`auto` needs about half of ProxySPEX's masks, not a quarter"
        ),
        "spex_exact": "w"
        + said("benchmarks/spex", "Without noise it recovers every spectrum to 1e-14")[1:],
        "spex_fast": "340 to 1,500",
        "indices": by_budget("benchmarks/indices/results/summary.md", "## SV", methods),
        "indices_all": "the "
        + said("benchmarks/indices", "lowest error at every budget for every index"),
        "indices_heads": said("benchmarks/indices", "ProxySHAP is ahead after 200 masks"),
        "aimed": aimed["aimed minus independent, 95 % interval over games"],
    }


def evaluating() -> dict[str, str]:
    """What is said of the engine and of parity."""
    fields = {}
    for r in table("benchmarks/engine/README.md", "## Results"):
        size, setting, plain, lens = [*r.values()][:4]
        ratios = [re.split(r"[, ]+", cell)[1] for cell in (lens, plain) if cell]
        fields[f"engine_{size}_{setting[0]}"] = " and ".join(ratios)
    rows = data("benchmarks/engine/results/cpu-smollm2-ioi.json")["rows"]
    seconds = next(r["seconds"] for r in rows if r["setting"] == 4)
    ratios = [f"{seconds[side] / seconds['ours']:.1f}" for side in ("lens", "plain")]
    place = "benchmarks/parity"
    return fields | {
        "engine_ioi": " and ".join(ratios),
        "parity_equal": said(
            place, "in 12 of 12 cases all prompts, all verdicts and the accuracies are equal"
        ),
        "parity_near": said(place, "the log-probabilities differ by at most 9.5e-6"),
    }


def pruning() -> dict[str, str]:
    """What is said of pruning, servers and compact checkpoints."""
    path = "head_pruning/results/tables.md"
    gains = table(path, "## Test accuracy: ours minus each")
    cells = [[r["ours minus"], r["all sizes"]] for r in gains]
    margin = row(path, "greedy removal", "## Test margin: ours minus each")
    costs = [
        x["costs"] for x in data("benchmarks/compact/results.json") if x["model"] == "embedded"
    ]
    gone = [100 - 100 * c["compact"]["parameters"] / c["full"]["parameters"] for c in costs]
    faster = "the prefill is 1.16 to 1.52 times as fast and decoding 1.03 to 1.14 times as fast"
    return {
        "pruning": written(["ours minus", "accuracy, mean over sizes and subjects"], cells),
        "pruning_margin": margin["all sizes"],
        "pruned_trained": said(
            "real_models",
            "With 162 of the 270 heads ours answers all right with 8.6, LASSO ranking 90.6 % with 3.4",
        ),
        "serving": said(
            "benchmarks/serving",
            "the greedy answers are equal on every prompt that was asked, 860 in all",
        ),
        "compact": said("benchmarks/compact", faster),
        "compact_least": f"{min(gone):.0f}",
        "compact_most": f"{max(gone):.0f}",
    }


def inputs() -> dict[str, str]:
    """What is said of texts and training data."""
    hops = data("feature_attribution/results/two_hop_test_replace.json")
    first = [float(v["first"].split()[0]) for v in hops["rates"].values()]
    methods = ("auto", "our ProxySPEX", "LASSO", "LIME")
    lengths = []
    for words, masks in (("64", "512"), ("128", "1024"), ("256", "2048"), ("1024", "4096")):
        cells = row("feature_attribution/results/scaling.md", masks, f"### {words} words, rule")
        lengths.append([words, masks, *(cells[method].split()[0] for method in methods)])
    ratios = []
    measured = data("benchmarks/features/results.json")["rows"]
    for model in dict.fromkeys(r["model"] for r in measured):
        usual, batched = (
            sorted(r[key] for r in measured if r["model"] == model)
            for key in ("ratio", "ratio to batched")
        )
        ratios.append(
            f"{model}: {usual[0]:.1f} to {usual[-1]:.1f} times as fast, and {batched[0]:.1f} to "
            f"{batched[-1]:.1f} times as fast as its own batching"
        )
    subsets = [
        [r["method"], r["retrainings"], r["R²"]] for r in table("data_attribution/decode.md")
    ]
    speed = data("data_attribution/speed.json").values()
    return {
        "sentences_right": str(hops["right"]),
        "sentences_low": f"{min(first):.2f}",
        "sentences_high": f"{max(first):.2f}",
        "sentences_chance": f"{hops['chance']:.3f}",
        "words": written(["words", "masks", *methods], lengths),
        "captum": "; ".join(ratios),
        "training": written(["method", "retrainings", "R²"], subsets),
        "training_speed": " and ".join(f"{x['ratio, median']:.0f}" for x in speed),
    }


def papers() -> dict[str, str]:
    """What is said of the papers' claims on models and data at hand."""
    subsets = row("hierarchy/README.md", "20", "| largest terms |")
    improved: dict[tuple[str, str], tuple[float, str]] = {}
    for r in table("head_pruning_real/results.md"):
        task, gain, p = r["task"], r["ours minus full: accuracy"], float(r["Holm"])
        if p < 0.05 and gain.startswith("+"):
            name = task.removeprefix("distractor_agreement_").replace("_", " ")
            said_of = (
                f"{gain} on {name} with {r['heads']} of 27 heads in the {r['group']} layers, where the full "
                f"model is right on {r['full: accuracy']} ({r['right: only ours : only full']} questions "
                "won and lost)"
            )
            place = (r["group"], task)
            improved[place] = min(improved.get(place, (p, said_of)), (p, said_of))
    texts = {
        r["words"]: r["auto minus LIME"]
        for r in table("long_text/README.md", "| model | words | texts | auto minus")
    }
    pairs = table("data_attribution/cifar10/README.md", "| pairs | of different classes")
    crossed = {r["pairs"]: r["of different classes"] for r in pairs}
    cpr = row("real_circuits/README.md", "NAP-IG", "| | agreement: CPR of ours −")
    return {
        "fewer_real": said(
            "fewer_ablations",
            "ProxySPEX needs about 4 times fewer masks than SPEX, and `auto` about 6 times fewer",
        ),
        "hierarchy_found": subsets["direct subsets"],
        "hierarchy_chance": subsets["from popular players"],
        "depth_answer": said(
            "depth",
            "With depth it is the other way round, on SmolLM2-135M and on the embedded model",
        ),
        "depth_share": "a "
        + said(
            "depth",
            "larger share of the decoded energy in interactions than the last three in 12 of 12 cases",
        ),
        "improved": "; ".join(text for _, text in improved.values()),
        "improved_count": ("no", "one", "two", "three")[len({task for _, task in improved})],
        "trolley": "n" + said("trolley", "No synonym changed an answer")[1:],
        "rag_rule": said("rag", "in 12 of 12 questions with 4, 8, 16 and 64 documents"),
        "rag_model": "with "
        + said(
            "rag",
            "four documents it answers 7 of 10 questions right, but in six of these seven the two needed "
            "documents are a redundancy",
        )
        + ", and with eight it is "
        + said("rag", "right on 1 of 10"),
        "long_short": texts["below 64"],
        "long_long": texts["64 or more"],
        "images_synergy": crossed["synergy, ProxySPEX"],
        "images_random": crossed["all pairs"],
        "joint_found": said(
            "joint",
            "99 % of the squared interactions between a sentence and a head belong to the two sentences "
            "that the question needs",
        ),
        "circuits_known": "f"
        + said("known_circuits", "From 128 rows on ours recovers every circuit exactly (25 of 25)")[
            1:
        ],
        "circuits_cpr": ", ".join(cell for name, cell in cpr.items() if "CPR" in name),
    }


def others() -> dict[str, str]:
    """What is said of mathematics, failures, stores and the embedded model."""
    seconds = {r["case"]: float(r["CPU s"]) for r in table("benchmarks/mathematics/results.md")}
    tried = {r["0"]: r["1"] for r in table("benchmarks/reliability/results.md", "## Inputs")}
    subjects = data("embedded_model/evidence.json")["subjects"].values()
    right = [subject["test"]["accuracy"] for subject in subjects]
    heads = "a sum of single heads explains on average .38 of the variance of its margin"
    trees = "boosted trees explain .80"
    said("embedded_model", trees)
    return {
        "index_seconds": f"{max(s for case, s in seconds.items() if ', order ' in case):.2f}",
        "transform_seconds": f"{seconds['exact transform, n = 24']:.1f}",
        "inputs_clear": tried["clear"],
        "inputs_tried": tried["tried"],
        "storing": said("benchmarks/store", "Storing adds 1.7 % or less to the wall-clock time"),
        "embedded_low": f"{min(right):.2f}",
        "embedded_high": f"{max(right):.2f}",
        "embedded_subjects": str(len(right)),
        "embedded_parts": f"{said('embedded_model', heads)}, and {trees}",
    }


def page() -> str:
    """The whole page."""
    fields: dict[str, str] = {}
    for part in (learning, exactness, evaluating, pruning, inputs, papers, others):
        fields |= part()
    return (HERE / "measured.template.md").read_text(encoding="utf-8").format(**fields)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

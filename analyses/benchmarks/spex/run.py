"""Does SPEX recover planted spectra, how fast, and what does the reference implementation do?

    python analyses/benchmarks/spex/run.py            our side: tables and figure, some minutes
    python analyses/benchmarks/spex/run.py --peers    the comparison alone: needs the extra `peers`, minutes

Each writes its part (results.md and recovery.png, or peers.md) beside this script, or to --out.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import spex_mech as sm
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.spex.decode import spex
from spex_mech.designs.spex import spex as coded_design
from spex_mech.designs.uniform import uniform

SIZES = [(100, 50), (500, 100), (1000, 200)]
DRAWS = {
    "±U(0.5, 1.5)": lambda rng, s: rng.choice([-1, 1], s) * rng.uniform(0.5, 1.5, s),
    "N(0, 1)": lambda rng, s: rng.normal(size=s),
    "±1": lambda rng, s: rng.choice([-1.0, 1.0], s),
}


def planted(n, s, seed, draw="±U(0.5, 1.5)", degrees=(1, 2, 3, 4, 5)):
    """``s`` distinct random sets of players, their degrees drawn uniformly."""
    rng = np.random.default_rng([n, s, seed])
    supports = set()
    while len(supports) < s:
        size = rng.choice(degrees)
        supports.add(tuple(sorted(rng.choice(n, size, replace=False).tolist())))
    return Spectrum.from_supports(sorted(supports), DRAWS[draw](rng, s), n)


def decode(truth, budget, seed, noise=0.0):
    """Decode noisy values of a coded design: recall, precision, largest error, CPU seconds, masks."""
    design = coded_design(truth.n, budget, seed=seed)
    spread = np.sqrt((truth.coefficients**2).sum())
    values = truth(design.masks)
    values += noise * spread * np.random.default_rng([seed, 1]).normal(size=len(values))
    start = time.process_time()
    found = spex(design, values)
    seconds = time.process_time() - start
    return *compare(found, truth), seconds, len(design)


def compare(found, truth):
    """Recall and precision of the support, and the largest error of a coefficient."""
    ours, theirs = set(found.supports), set(truth.supports)
    hits = len(ours & theirs)
    error = max(abs(found[support] - truth[support]) for support in ours | theirs)
    return hits / len(theirs), hits / max(1, len(ours)), error


def exact_table(seeds):
    """Without noise: how many of the spectra are recovered exactly."""
    rows = []
    for (n, s), budgets in zip(SIZES, [(1968, 3936), (9792, 19584), (10752, 43008)], strict=True):
        for budget in budgets:
            for draw in DRAWS:
                runs = [decode(planted(n, s, seed, draw), budget, seed) for seed in seeds]
                recall, precision, error, seconds, masks = map(np.array, zip(*runs, strict=True))
                exact = int(((recall == 1) & (precision == 1) & (error < 1e-8)).sum())
                rows.append(
                    [n, s, draw, masks[0], f"{exact}/{len(seeds)}", f"{recall.min():.3f}",
                     f"{error.max():.0e}", f"{seconds.max():.2f}"]
                )  # fmt: skip
    head = [
        "n",
        "s",
        "coefficients",
        "masks",
        "exact",
        "worst recall",
        "worst error",
        "CPU s, worst",
    ]
    return table(head, rows)


def noise_table(seeds):
    """With noise of 10 % of the signal's standard deviation, at two budgets."""
    rows = []
    for (n, s), budgets in zip(
        SIZES, [(3936, 15744, 62976), (19584, 78336), (21504, 43008, 172032)], strict=True
    ):
        for budget in budgets:
            for draw in ["±U(0.5, 1.5)", "N(0, 1)"]:
                runs = [decode(planted(n, s, seed, draw), budget, seed, 0.1) for seed in seeds]
                recall, precision, _, seconds, masks = map(np.array, zip(*runs, strict=True))
                rows.append(
                    [n, s, draw, masks[0], f"{recall.mean():.3f} ({recall.min():.3f})",
                     f"{precision.mean():.3f} ({precision.min():.3f})", f"{seconds.max():.2f}"]
                )  # fmt: skip
    head = ["n", "s", "coefficients", "masks", "recall, mean (worst)", "precision", "CPU s, worst"]
    return table(head, rows)


def peak_table(seeds):
    """Ten sets of degree 5 without any subset: SPEX against boosted trees at the same cost."""
    fresh = uniform(100, 5000, seed=12345).masks
    rows = []
    for budget in [984, 3936, 7872]:
        columns = {"SPEX": [], "ProxySPEX, uniform masks": [], "ProxySPEX, SPEX's masks": []}
        for seed in seeds:
            truth = planted(100, 10, seed, degrees=(5,))
            coded = coded_design(100, budget, seed=seed)
            plain = uniform(100, len(coded), seed=seed)
            for name, (design, method) in zip(
                columns, [(coded, "spex"), (plain, "proxyspex"), (coded, "proxyspex")], strict=True
            ):
                found = sm.decode(design, truth(design.masks), method=method, seed=seed)
                unexplained = np.var(truth(fresh) - found(fresh)) / np.var(truth(fresh))
                hits = len(set(found.supports) & set(truth.supports))
                columns[name].append((hits, 1 - unexplained))
        for name, runs in columns.items():
            hits, r2 = map(np.array, zip(*runs, strict=True))
            rows.append([budget, name, f"{hits.mean():.1f} of 10", f"{r2.mean():.2f}"])
    return table(["masks", "decoder", "sets found", "R² on fresh masks"], rows)


def figure(path, seeds):
    """Recall and CPU time against the number of masks."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for color, (n, s) in zip(["C0", "C1", "C2"], SIZES, strict=True):
        unit = 3 * (1 + coded_design(n, 10**4).structure.code.parity)
        for noise, style in [(0.0, "-"), (0.1, "--")]:
            lines = []
            for b in range(2, 9):
                runs = [decode(planted(n, s, seed), unit << b, seed, noise) for seed in seeds]
                recall, _, _, seconds, masks = map(np.array, zip(*runs, strict=True))
                lines.append((masks[0], recall.mean(), seconds.mean()))
            masks, recall, seconds = zip(*lines, strict=True)
            label = f"n = {n}, {s} terms" if noise == 0 else None
            left.plot(masks, recall, style, color=color, marker="o", ms=3, label=label)
            right.plot(masks, seconds, style, color=color, marker="o", ms=3)
    left.plot([], [], "k-", label="no noise")
    left.plot([], [], "k--", label="noise, 10 % of the signal")
    left.set(xscale="log", xlabel="masks", ylabel="share of the terms found", ylim=(-0.03, 1.03))
    right.set(xscale="log", yscale="log", xlabel="masks", ylabel="CPU seconds to decode")
    left.legend(fontsize=8, frameon=False)
    fig.savefig(path, dpi=160)


def peers_table():
    """The reference implementation and ours, in turn, in one process, each problem twice.

    The first time includes what is compiled on demand; the second has it compiled.
    """
    rows, seconds = [], {"reference": [], "ours": []}
    for n, s, seed in [(100, 50, 0), (100, 50, 1), (200, 50, 0)]:
        truth = planted(n, s, seed)
        for again in range(2):
            for name, run in [("reference", reference), ("ours", ours)]:
                rows.append([n, s, seed, name, again + 1, *run(truth, 5, seed)])
                seconds[name].append(float(rows[-1][-1]))
                print(rows[-1], flush=True)
    head = ["n", "s", "seed", "", "time", "masks", "recall", "precision", "largest error", "CPU s"]
    ratios = np.divide(seconds["reference"], seconds["ours"])[:4]
    lines = [
        f"n = 100, first time: {ratios[0]:.0f} and {ratios[2]:.0f} times faster.",
        f"n = 100, second time, all compiled: {ratios[1]:.0f} and {ratios[3]:.0f} times faster.",
    ]
    return table(head, rows) + "\n" + "\n".join(lines) + "\n"


def ours(truth, b, seed):
    """Design, evaluate and decode with this library, at the cost of the reference."""
    start = time.process_time()
    design = coded_design(truth.n, 3 * 2**b * 41, seed=seed)
    found = spex(design, truth(design.masks))
    seconds = time.process_time() - start
    return len(design), *report(found, truth), f"{seconds:.3f}"


def reference(truth, b, seed):
    """Design, evaluate and decode with sparse-transform, with the settings of shapiq's hard decoder."""
    from sparse_transform.qsft.qsft import transform
    from sparse_transform.qsft.signals.input_signal_subsampled import SubsampledSignal
    from sparse_transform.qsft.utils.query import get_bch_decoder

    np.random.seed(seed)  # noqa: NPY002  (the reference draws from the global state)
    start = time.process_time()
    signal = SubsampledSignal(
        func=lambda masks: truth(np.asarray(masks).astype(bool)),
        n=truth.n,
        q=2,
        query_args={
            "query_method": "complex", "num_subsample": 3, "delays_method_source": "joint-coded",
            "subsampling_method": "qsft", "delays_method_channel": "identity-siso",
            "num_repeat": 1, "t": 5, "b": b,
        },
    )  # fmt: skip
    terms = transform(
        signal,
        b=b,
        num_subsample=3,
        num_repeat=1,
        reconstruct_method_source="coded",
        reconstruct_method_channel="identity",
        source_decoder=get_bch_decoder(truth.n, 5, "hard"),
        peeling_method="multi-detect",
        res_energy_cutoff=0.9,
    )
    seconds = time.process_time() - start
    supports = [np.flatnonzero(key).tolist() for key in terms]
    coefficients = np.real(np.array(list(terms.values())))
    kept = np.abs(coefficients) > 1e-6
    found = Spectrum.from_supports(
        [support for support, keep in zip(supports, kept, strict=True) if keep],
        coefficients[kept],
        truth.n,
    )
    masks = sum(block.size for group in signal.all_samples for block in group)
    return masks, *report(found, truth), f"{seconds:.3f}"


def report(found, truth):
    """Recall, precision and error as text."""
    recall, precision, error = compare(found, truth)
    return f"{recall:.2f}", f"{precision:.2f}", f"{error:.0e}"


def table(head, rows):
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def main():
    """Run one side and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--peers", action="store_true", help="compare with sparse-transform instead"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.peers:
        text = peers_table()
        (args.out / "peers.md").write_text(text)
        print(text)
        return
    seeds = range(args.seeds)
    parts = []
    for title, make in [
        ("Exact recovery, no noise", exact_table),
        ("Noise of 10 % of the signal's standard deviation", noise_table),
        ("Synthetic peak: 10 sets of degree 5, n = 100", peak_table),
    ]:
        parts.append(f"## {title}\n\n{make(seeds)}")
        print(parts[-1], flush=True)
    (args.out / "results.md").write_text("\n".join(parts))
    figure(args.out / "recovery.png", seeds)


if __name__ == "__main__":
    main()

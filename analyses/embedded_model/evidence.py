"""What the shipped model does, whole and with heads removed: writes evidence.json."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import world
from masked import MODEL, MaskedModel, read_rows
from sklearn.linear_model import LassoCV
from sklearn.metrics import r2_score
from xgboost import XGBRegressor

HERE = Path(__file__).resolve().parent
MASK_SEED = 7
LEFT_OUT_QUESTIONS = 120


def with_pairs(masks: np.ndarray) -> np.ndarray:
    """The masks and the product of every pair of columns."""
    left, right = np.triu_indices(masks.shape[1], 1)
    return np.hstack([masks, masks[:, left] * masks[:, right]])


def held_out_r2(masks: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """R2 of three surrogates on the last fifth of the masks, fitted on the others."""
    cut = len(masks) * 4 // 5
    signs, values = 2.0 * masks.astype(np.float64) - 1.0, values.astype(np.float64)
    models = {
        "lasso_1": (LassoCV(cv=5, alphas=40), signs),
        "lasso_2": (LassoCV(cv=5, alphas=40), with_pairs(signs)),
        "boosted_trees": (
            XGBRegressor(
                n_estimators=800, max_depth=5, learning_rate=0.05, subsample=0.8,
                colsample_bytree=0.8, random_state=0, n_jobs=1,
            ),
            signs,
        ),
    }  # fmt: skip
    result = {}
    for name, (model, features) in models.items():
        model.fit(features[:cut], values[:cut])
        result[name] = round(float(r2_score(values[cut:], model.predict(features[cut:]))), 3)
    return result


def summary(right: np.ndarray, margins: np.ndarray) -> dict[str, float]:
    """Mean and spread over masks of a split's accuracy and mean margin."""
    accuracy, margin = right.mean(axis=1), margins.mean(axis=1)
    return {
        "accuracy": round(float(accuracy.mean()), 4),
        "accuracy_sd": round(float(accuracy.std()), 4),
        "margin": round(float(margin.mean()), 3),
        "margin_sd": round(float(margin.std()), 3),
    }


def examine(model: MaskedModel, subject: str, questions: int, count: int) -> dict:
    """All numbers of one subject."""
    rng = np.random.default_rng([MASK_SEED, world.SUBJECTS.index(subject)])
    heads = model.layers * model.heads
    full, without = np.ones((1, heads)), 1.0 - np.eye(heads)
    result: dict = {}

    test = read_rows(subject, "test")
    right, margins = model.scores(test, full)
    rate = float(right.mean())
    result["test"] = {
        "n": len(test),
        "accuracy": round(rate, 4),
        "standard_error": round((rate * (1 - rate) / len(test)) ** 0.5, 4),
        "margin": round(float(margins.mean()), 3),
    }
    right, margins = model.scores(test[:LEFT_OUT_QUESTIONS], without)
    result["leave_one_out"] = {
        "n": LEFT_OUT_QUESTIONS,
        "accuracy": right.mean(axis=1).round(4).tolist(),
        "margin": margins.mean(axis=1).round(3).tolist(),
    }
    search = read_rows(subject, "search")[:questions]
    result["kept"] = {}
    for keep in (0.85, 0.7):
        masks = (rng.random((128, heads)) < keep).astype(np.float32)
        result["kept"][str(keep)] = summary(*model.scores(search, masks))
    masks = (rng.random((count, heads)) < 0.5).astype(np.float32)
    right, margins = model.scores(search, masks)
    result["kept"]["0.5"] = summary(right, margins)
    result["r2_of_margin"] = held_out_r2(masks, margins.mean(axis=1))
    return result


def main() -> None:
    """Examine every subject and write evidence.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=64, help="search questions per mask")
    parser.add_argument("--masks", type=int, default=2000)
    parser.add_argument("--subjects", nargs="+", default=world.SUBJECTS)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--out", type=Path, default=HERE / "evidence.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = MaskedModel(args.model)
    report: dict = {
        "parameters": model.model.num_parameters(),
        "bytes": (args.model / "model.safetensors").stat().st_size,
        "questions": args.questions,
        "masks": args.masks,
        "subjects": {},
    }
    if args.out.exists() and set(args.subjects) < set(world.SUBJECTS):
        report["subjects"] = json.loads(args.out.read_text(encoding="utf-8"))["subjects"]
    for subject in args.subjects:
        began = time.time()
        report["subjects"][subject] = examine(model, subject, args.questions, args.masks)
        short = {k: v for k, v in report["subjects"][subject].items() if k != "leave_one_out"}
        print(subject, round(time.time() - began), "s", short, flush=True)
        done = report["subjects"]
        report["subjects"] = {name: done[name] for name in world.SUBJECTS if name in done}
        args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

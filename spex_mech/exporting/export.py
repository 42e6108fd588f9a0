"""Exporting a pruned model as a checkpoint that others can load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError

from spex_mech.ablation.gates import Gates, spread
from spex_mech.core.errors import InputError, OutputExistsError
from spex_mech.core.files import new_folder
from spex_mech.core.masks import check_masks
from spex_mech.core.players import PlayerSet
from spex_mech.exporting.compact import check_cuttable, cut_model, has_output_bias, stock_can_hold
from spex_mech.exporting.cuts import LayerCut, cuts, evened
from spex_mech.exporting.dense import dense_state
from spex_mech.exporting.model_card import Card, Form, card_text
from spex_mech.exporting.reading_back import check_export, masked_logits, plain_logits
from spex_mech.models.loading import bars_on_terminals_only
from spex_mech.models.model import Model

_MODES = ("dense", "compact")


def export(
    model: Model,
    players: PlayerSet,
    mask: npt.ArrayLike,
    folder: str | Path,
    *,
    mode: str = "dense",
    rescale: bool = False,
    even: bool = False,
    recovered: Any | None = None,
    card: Card | None = None,
    max_shard_size: str | int = "5GB",
) -> Path:
    """Write the model without its removed players as a Hugging Face checkpoint; one keyword per choice.

    ``dense`` keeps the architecture and every tensor's size: a removed head's columns of the output
    projection become zero, a removed MLP's last projection and a removed layer's two become zero
    with their biases. Any Transformers, vLLM or lm-evaluation-harness loads it.

    ``compact`` has no removed parts: each layer keeps its own heads, a key/value head goes with the
    last of its query heads, layers of which nothing is left are gone. Where all layers keep equally
    much this is a stock checkpoint with smaller numbers in its config. Where they differ it carries
    its modelling file: `load_model` reads it with this package's own class and runs nothing of the
    folder; ``AutoModelForCausalLM`` needs ``trust_remote_code=True``.

    Both have the logits of the model ablated to zero, and with ``rescale`` those of its rescaled
    form (a layer's kept heads times H / |kept|). Before the folder gets its name it is read back: all
    weights must be there, and the logits of a prompt must be those of the masked model; a second copy of
    the weights is in memory meanwhile. Tokenizer and a model card stand beside the weights. The model
    given is not changed.

    Args:
        model: the model that was pruned.
        players: the players of ``mask``.
        mask: bool (n,), True = kept.
        folder: where to write; a new folder, or an empty one.
        mode: ``dense`` or ``compact``.
        rescale: fold the published rescaling into the kept heads.
        even: with ``compact``, write a stock checkpoint even where layers keep unequally much: every
            layer gets the numbers of the fullest, and removed heads and MLPs fill the gaps as
            zeros. The logits are the same; the checkpoint is larger than without, never than dense.
        recovered: with ``compact``, the model of `compact_model` with the same options after
            fine-tuning (`recovery.recover`); its weights are written, and the card says so.
        card: what the model card is to tell beyond what was removed.
        max_shard_size: largest weights file, such as ``"5GB"``.

    Returns:
        The folder.

    Raises:
        OutputExistsError: the folder exists and is not empty.
        InputError: a mask of the wrong width or dtype, an unknown mode, ``even`` with ``dense`` or
            on an architecture without a head width of its own, an architecture that cannot be cut
            (``dense`` can be written) or ablated, or a checkpoint that does not hold the masked model.
    """
    if mode not in _MODES:
        raise InputError(f"unknown export mode {mode!r}; expected 'dense' or 'compact'")
    if even and mode == "dense":
        raise InputError("even=True is for mode='compact'; a dense export is even as it is")
    if recovered is not None and mode == "dense":
        raise InputError(
            "recovered= is for mode='compact'; a fine-tuned model has no removed heads to zero"
        )
    target = Path(folder)
    if target.is_symlink() or (target.exists() and not _is_empty(target)):
        raise OutputExistsError(f"{target} exists; choose a new folder")
    checked = _one_mask(mask, players)
    written = model.hf
    if mode == "compact":
        written = compact_model(model, players, checked, rescale=rescale, even=even)
        if recovered is not None:
            _check_same_cut(written, recovered)
            written = recovered
    if recovered is None:
        expected = masked_logits(model, players, checked, rescale=rescale)
    else:
        expected = plain_logits(recovered)
    gates = spread(players, model.shape, checked[None])
    state = dense_state(model, gates, rescale) if mode == "dense" else None
    save = _saver(written, state, max_shard_size, expected)
    stock = not hasattr(written.config, "compact_layers")
    form = Form(mode, rescale, stock, recovered=recovered is not None)
    text = card_text(card or Card(), model, players, checked, form)
    _write(target, save, model.tokenizer, text)
    return target


def compact_model(
    model: Model,
    players: PlayerSet,
    mask: npt.ArrayLike,
    *,
    rescale: bool = False,
    even: bool = False,
) -> Any:
    """The model without its removed players, in memory; what a compact export writes.

    Args:
        model: the model that was pruned; it is not changed. Tensors that stay whole are shared.
        players: the players of ``mask``.
        mask: bool (n,), True = kept.
        rescale: fold the published rescaling into the kept heads.
        even: fill the layers up to a stock architecture, see `export`.

    Returns:
        A Hugging Face model in evaluation mode, stock where all layers keep equally much.

    Raises:
        InputError: as for `export`.
    """
    check_cuttable(model.hf)
    checked = _one_mask(mask, players)
    gates = spread(players, model.shape, checked[None])
    kept = _kept(model, gates)
    if even:
        kept = evened(kept, model.shape.n_heads)
        if not stock_can_hold(model.hf, kept):
            raise InputError(
                f"even=True cannot make a stock {type(model.hf).__name__}: "
                + (
                    "its config has no head width of its own, so every head must stay; leave even "
                    "out for a checkpoint with its own modelling file, or use mode='dense'"
                    if kept
                    else "no layer is left; keep a layer, or use mode='dense'"
                )
            )
    return cut_model(model.hf, dense_state(model, gates, rescale), kept)


def _kept(model: Model, gates: Gates) -> list[LayerCut]:
    return cuts(
        gates.heads[0],
        gates.mlps[0],
        gates.attention[0],
        group_size=model.shape.n_heads // model.shape.n_kv_heads,
        biased=has_output_bias(model.hf),
        numbered=bool(getattr(model.hf.config, "scale_attn_by_inverse_layer_idx", False)),
    )


def _check_same_cut(small: Any, recovered: Any) -> None:
    shapes = [{k: v.shape for k, v in hf.state_dict().items()} for hf in (small, recovered)]
    if type(recovered) is not type(small) or shapes[0] != shapes[1]:
        raise InputError(
            "recovered= was not cut by this mask: its weights have other names or shapes; give "
            "what recover() made of compact_model() with the same mask and options"
        )


def _one_mask(mask: npt.ArrayLike, players: PlayerSet) -> np.ndarray:
    checked = check_masks(mask, players.n)
    if len(checked) != 1:
        raise InputError(f"export takes one mask (n,), got {len(checked)}")
    return checked[0]


def _saver(
    hf: Any, state: dict[str, Any] | None, max_shard_size: str | int, expected: np.ndarray
) -> Callable[[Path], None]:
    """What writes a checkpoint into a folder, and reads it back."""

    def save(folder: Path) -> None:
        hf.save_pretrained(folder, state_dict=state, max_shard_size=max_shard_size)
        check_export(folder, hf, expected)

    return save


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _write(target: Path, save: Callable[[Path], None], tokenizer: Any, card: str) -> None:
    """Write beside the target and rename, so that a failure leaves nothing behind."""
    try:
        with new_folder(target) as whole:
            with bars_on_terminals_only():
                save(whole)
            if tokenizer is not None:
                tokenizer.save_pretrained(whole)
            (whole / "README.md").write_text(card, encoding="utf-8")
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot write the checkpoint {target}: {reason}; nothing of it was left behind: make room, "
            "or choose another folder"
        ) from error

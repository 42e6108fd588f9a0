"""Exporting a pruned model as a checkpoint that others can load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spex_mech.ablation.gates import Gates, spread
from spex_mech.core.errors import InputError, OutputExistsError
from spex_mech.core.masks import check_masks
from spex_mech.core.players import PlayerSet
from spex_mech.exporting.compact import check_cuttable, cut_model, has_output_bias
from spex_mech.exporting.cuts import LayerCut, cuts
from spex_mech.exporting.dense import dense_state
from spex_mech.exporting.forms.choice import ChosenForm, check_form, choose_form, forms_that_fit
from spex_mech.exporting.forms.form import Checkpoint, HfCheckpoint
from spex_mech.exporting.model_card import Card, Form, card_text
from spex_mech.exporting.reading_back import masked_logits, plain_logits
from spex_mech.exporting.writing import write_checkpoint
from spex_mech.models.model import Model

_MODES = ("dense", "compact")
_FORM = "own"


def export(
    model: Model,
    players: PlayerSet,
    mask: npt.ArrayLike,
    folder: str | Path,
    *,
    mode: str = "dense",
    form: str = _FORM,
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
    last of its query heads, layers of which nothing is left are gone. ``form`` says who reads it:

    * ``family``: whoever reads the model itself. All layers keep equally much, and the config has
      smaller numbers.
    * ``laguna``: Transformers from 5.17 and vLLM, without code of ours. Qwen3 models whose layers keep
      their MLP, equally many key/value heads, and equally many query heads on each of these.
    * ``gguf``: llama.cpp and what it is in. Llama and Mistral models, such as SmolLM2, whose layers keep
      equally many query heads on each of their key/value heads; attention and MLPs may be gone. One file
      with the tokenizer and the chat template, in the model's dtype; quantising is llama.cpp's job. Needs
      the extra ``gguf``, and a tokenizer that llama.cpp has.
    * ``own``: any mask. Where all layers keep equally much it is as ``family``. Otherwise it carries its
      modelling file: `load_model` reads it with this package's own class and runs nothing of the folder;
      ``AutoModelForCausalLM`` needs `register_compact` or ``trust_remote_code=True``, vLLM this package.
    * ``auto``: the first of these that holds the mask. The model card says why the others do not, as
      `export_forms` does without writing.

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
        form: with ``compact``, the form of the checkpoint.
        rescale: fold the published rescaling into the kept heads.
        even: with ``compact``, fill what the form cannot leave out with removed heads and MLPs, as
            zeros: for ``family`` (and ``own``) every layer gets the numbers of the fullest. The logits
            are the same; the checkpoint is larger than without, never than dense.
        recovered: with ``compact``, the model of `compact_model` with the same options after
            fine-tuning (`recovery.recover`); its weights are written, and the card says so.
        card: what the model card is to tell beyond what was removed.
        max_shard_size: largest weights file, such as ``"5GB"``.

    Returns:
        The folder.

    Raises:
        OutputExistsError: the folder exists and is not empty.
        InputError: a mask of the wrong width or dtype, an unknown mode or form, ``even`` or ``form`` with
            ``dense``, a form that cannot hold the mask (which layer, why, and what would do), an
            architecture that cannot be cut (``dense`` can be written) or ablated, too little room on the
            disk, or a checkpoint that does not hold the masked model.
    """
    _check_mode(mode, form, even, recovered)
    target = Path(folder)
    if target.is_symlink() or (target.exists() and not _is_empty(target)):
        raise OutputExistsError(f"{target} exists; choose a new folder")
    checked = _one_mask(mask, players)
    gates = spread(players, model.shape, checked[None])
    chosen = _chosen(model, gates, form, even) if mode == "compact" else None
    if recovered is None:
        expected = masked_logits(model, players, checked, rescale=rescale)
    else:
        expected = plain_logits(recovered)
    if chosen is None:
        state = dense_state(model, gates, rescale)
        checkpoint: Checkpoint = HfCheckpoint(model.hf, model.tokenizer, state)
    else:
        small = cut_model(model.hf, dense_state(model, gates, rescale), chosen.kept)
        if recovered is not None:
            _check_same_cut(small, recovered)
            small = recovered
        checkpoint = chosen.form.checkpoint(small, model)
    about = Form(
        mode,
        rescale,
        recovered is not None,
        loading=checkpoint.loading,
        library=checkpoint.library,
        refused={} if chosen is None else chosen.refused,
    )
    text = card_text(card or Card(), model, players, checked, about)
    write_checkpoint(checkpoint, target, text, expected, max_shard_size)
    return target


def export_forms(
    model: Model, players: PlayerSet, mask: npt.ArrayLike, *, even: bool = False
) -> dict[str, str | None]:
    """Which forms of a compact export can hold a mask, and why the others cannot; nothing is written.

    Args:
        model: the model that was pruned.
        players: the players of ``mask``.
        mask: bool (n,), True = kept.
        even: as for `export`.

    Returns:
        Every form's name, in the order in which ``auto`` tries them, and None or the reason.

    Raises:
        InputError: a mask of the wrong width or dtype, or an architecture that cannot be cut.
    """
    check_cuttable(model.hf)
    gates = spread(players, model.shape, _one_mask(mask, players)[None])
    return forms_that_fit(model, _kept(model, gates), even=even)


def export_form(
    model: Model, players: PlayerSet, mask: npt.ArrayLike, *, form: str = "auto", even: bool = False
) -> tuple[str, dict[str, str]]:
    """The form that `export` writes for a mask, and why it is none of those tried before; nothing is written.

    Args:
        model: the model that was pruned.
        players: the players of ``mask``.
        mask: bool (n,), True = kept.
        form: as for `export`.
        even: as for `export`.

    Returns:
        The form's name, and the reason for every form that ``auto`` tried before it.

    Raises:
        InputError: as for `export`.
    """
    gates = spread(players, model.shape, _one_mask(mask, players)[None])
    chosen = _chosen(model, gates, form, even)
    return chosen.form.name, dict(chosen.refused)


def compact_model(
    model: Model,
    players: PlayerSet,
    mask: npt.ArrayLike,
    *,
    rescale: bool = False,
    even: bool = False,
    form: str = _FORM,
) -> Any:
    """The model without its removed players, in memory; what a compact export writes.

    Args:
        model: the model that was pruned; it is not changed. Tensors that stay whole are shared.
        players: the players of ``mask``.
        mask: bool (n,), True = kept.
        rescale: fold the published rescaling into the kept heads.
        even: fill the layers up to what the form holds, see `export`.
        form: the form that a checkpoint is to have, which must hold the mask.

    Returns:
        A Hugging Face model in evaluation mode, of the model's own class where all layers keep equally
        much and of this package's class otherwise, whatever the form: `export` translates it.

    Raises:
        InputError: as for `export`.
    """
    gates = spread(players, model.shape, _one_mask(mask, players)[None])
    chosen = _chosen(model, gates, form, even)
    return cut_model(model.hf, dense_state(model, gates, rescale), chosen.kept)


def _chosen(model: Model, gates: Gates, form: str, even: bool) -> ChosenForm:
    check_cuttable(model.hf)
    return choose_form(form, model, _kept(model, gates), even=even)


def _kept(model: Model, gates: Gates) -> list[LayerCut]:
    return cuts(
        gates.heads[0],
        gates.mlps[0],
        gates.attention[0],
        group_size=model.shape.n_heads // model.shape.n_kv_heads,
        biased=has_output_bias(model.hf),
        numbered=bool(getattr(model.hf.config, "scale_attn_by_inverse_layer_idx", False)),
    )


def _check_mode(mode: str, form: str, even: bool, recovered: Any | None) -> None:
    """Refuse settings that are unknown, or that do not go together."""
    if mode not in _MODES:
        raise InputError(f"unknown export mode {mode!r}; expected 'dense' or 'compact'")
    check_form(form)
    if mode != "dense":
        return
    if form != _FORM:
        raise InputError(
            f"form={form!r} is for mode='compact'; a dense export has the model's own form"
        )
    if even:
        raise InputError("even=True is for mode='compact'; a dense export is even as it is")
    if recovered is not None:
        raise InputError(
            "recovered= is for mode='compact'; a fine-tuned model has no removed heads to zero"
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


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())

"""Images with missing regions, read by an image classifier, or with a text by a model such as CLIP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float64, Int64
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoProcessor,
)

from spex_mech.core.errors import InputError
from spex_mech.features.canvas import Canvas
from spex_mech.features.readers.model import context_of, pad_of, read_packed, weights_key
from spex_mech.features.tokenizing import check_fast
from spex_mech.features.tokens import TOKENS, TokenLayout, TokenRow, check_length, padded
from spex_mech.models.checkpoints import read_config, read_processor, read_weights
from spex_mech.models.folders import check_folder
from spex_mech.models.loading import bars_on_terminals_only

_ENTRIES = 1 << 23  # pixel values of a batch


class ImageSource:
    """An image in regions, and a classifier's logits.

    Args:
        canvas: the image.
        hf: the model, in evaluation mode.
    """

    def __init__(self, canvas: Canvas, hf: Any) -> None:
        self.canvas, self.hf = canvas, hf
        self.counts = np.ones(canvas.n, dtype=np.int64)
        self.size = canvas.n
        self.key = {**weights_key(hf), "output": "class logits, v1", "image": canvas.digest}

    @cached_property
    def whole(self) -> Float64[np.ndarray, " k"]:
        """Logits of the whole image."""
        return self.outputs(self.inputs(np.zeros((1, self.size), dtype=np.int64)))[0]

    def inputs(self, choices: Int64[np.ndarray, "m n"]) -> list[bytes]:
        """Which regions are present, as bytes."""
        return [row.tobytes() for row in choices == 0]

    def outputs(self, inputs: Sequence[bytes]) -> Float64[np.ndarray, "u k"]:
        """Logits (u, classes)."""
        return _in_batches(
            self.canvas, inputs, self.hf, lambda pixels: self.hf(pixel_values=pixels).logits
        )

    def show(self, regions: bytes, /) -> Any:
        """The image's pixel values, float32 (c, h, w)."""
        return self.canvas.compose(np.frombuffer(regions, dtype=bool)[None])[0]


def _in_batches(
    canvas: Canvas, inputs: Sequence[bytes], hf: Any, read: Any
) -> Float64[np.ndarray, "u k"]:
    """What ``read`` makes of images, a batch at a time, float64 (u, k)."""
    size = max(1, _ENTRIES // canvas.values.size)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(inputs), size):
            rows = [np.frombuffer(row, dtype=bool) for row in inputs[start : start + size]]
            pixels = torch.from_numpy(canvas.compose(np.stack(rows)))
            outputs = read(pixels.to(device=hf.device, dtype=hf.dtype))
            parts.append(outputs.double().cpu().numpy())
    return np.concatenate(parts)


def load_classifier(model: Any, processor: Any | None) -> tuple[Any, Any]:
    """An image classifier and its processor, which may be None.

    Raises:
        InputError: a model that does not classify images.
    """
    if isinstance(model, (str, Path)):
        processor = model if processor is None else processor
        with bars_on_terminals_only():
            check_folder(str(model))
            read_config(str(model))
            model = read_weights(AutoModelForImageClassification, str(model))
    elif not hasattr(model, "config") or "ImageClassification" not in type(model).__name__:
        raise InputError(
            f"model is {type(model).__name__}, expected a ...ForImageClassification, its name or its "
            "folder; for models such as CLIP use image_text"
        )
    if isinstance(processor, (str, Path)):
        processor = read_processor(AutoImageProcessor, processor)
    return model.eval(), processor


Input = tuple[bytes, bytes]


class PairSource:
    """An image in regions and a text in parts; outputs are scores of the image with each text.

    Args:
        canvas: the image.
        layout: the text's tokens.
        hf: the model, in evaluation mode.
        tokenizer: its tokenizer.
        others: other texts, which stay whole.
        whole_image: keep the image whole.

    Raises:
        InputError: a text that may be longer than the model reads.
    """

    def __init__(
        self,
        canvas: Canvas,
        layout: TokenLayout,
        hf: Any,
        tokenizer: Any,
        others: Sequence[str],
        *,
        whole_image: bool,
    ) -> None:
        self.canvas, self.layout, self.hf, self.tokenizer = canvas, layout, hf, tokenizer
        text_config = getattr(hf.config, "text_config", hf.config)
        self._context = context_of(text_config, tokenizer)
        check_length(layout, self._context)
        self._pad = pad_of(text_config, tokenizer)
        self._regions = 0 if whole_image else canvas.n
        self.counts = np.concatenate([np.ones(self._regions, dtype=np.int64), layout.counts])
        self.size = len(self.counts) + len(layout.ids)
        self._others = [np.array(tokenizer(t)["input_ids"], dtype=np.int32) for t in others]
        self.key = {
            **weights_key(hf),
            "output": "scaled cosine of embeddings, v1",
            "image": canvas.digest,
            "tokens": layout.digest,
            "others": json.dumps([row.tolist() for row in self._others]),
        }

    @cached_property
    def whole(self) -> Float64[np.ndarray, " k"]:
        """Scores of the whole image and text, and of the other texts."""
        return self.outputs(self.inputs(np.zeros((1, len(self.counts)), dtype=np.int64)))[0]

    def inputs(self, choices: Int64[np.ndarray, "m n"]) -> list[Input]:
        """Which regions are present, and the text's tokens, as bytes."""
        present = np.ones((len(choices), self.canvas.n), dtype=bool)
        present[:, : self._regions] = choices[:, : self._regions] == 0
        rows = self.layout.rows(choices[:, self._regions :])
        return [(a.tobytes(), b.tobytes()) for a, b in zip(present, rows, strict=True)]

    def outputs(self, inputs: Sequence[Input]) -> Float64[np.ndarray, "u k"]:
        """Scores (u, 1 + others): cosines times the model's scale, plus its bias if it has one."""
        images, image_of = _different([image for image, _ in inputs])
        texts, text_of = _different([text for _, text in inputs])
        seen = _unit(_in_batches(self.canvas, images, self.hf, self._embed_images))
        read = _unit(self._embed_texts([np.frombuffer(t, dtype=np.int32) for t in texts]))
        cosines = (seen[image_of] * read[text_of]).sum(axis=1, keepdims=True)
        if self._others:
            cosines = np.concatenate([cosines, seen[image_of] @ self._other_texts.T], axis=1)
        scale = getattr(self.hf, "logit_scale", None)
        bias = getattr(self.hf, "logit_bias", None)
        scaled = cosines if scale is None else cosines * float(scale.detach().exp())
        return scaled if bias is None else scaled + float(bias.detach())

    def show(self, pair: Input, /) -> tuple[Any, str]:
        """The image's pixel values, and the tokens as text."""
        mask = np.frombuffer(pair[0], dtype=bool)
        ids = np.frombuffer(pair[1], dtype=np.int32)
        return self.canvas.compose(mask[None])[0], self.tokenizer.decode(ids.tolist())

    @cached_property
    def _other_texts(self) -> Float64[np.ndarray, "k d"]:
        return _unit(self._embed_texts(self._others))

    def _embed_images(self, pixels: torch.Tensor) -> torch.Tensor:
        return _pooled(self.hf.get_image_features(pixel_values=pixels))

    def _embed_texts(self, rows: Sequence[npt.NDArray[np.int32]]) -> Float64[np.ndarray, "u d"]:
        # SigLIP was trained on texts that are filled up to its context and not masked.
        filled = "siglip" in str(self.hf.config.model_type)

        def embed(batch: Sequence[TokenRow]) -> torch.Tensor:
            ids = padded(batch, self._pad)
            if filled and self._context is not None:
                more = self._context - ids.shape[1]
                ids = np.pad(ids, ((0, 0), (0, more)), constant_values=self._pad)
            lengths = np.array([len(row) for row in batch])
            mask = (np.arange(ids.shape[1]) < lengths[:, None]) | filled
            states = self.hf.get_text_features(
                input_ids=torch.from_numpy(ids).to(self.hf.device),
                attention_mask=torch.from_numpy(mask.astype(np.int64)).to(self.hf.device),
            )
            return _pooled(states)

        return read_packed(rows, TOKENS, embed)


def load_pair_model(model: Any, processor: Any | None) -> tuple[Any, Any, Any]:
    """A contrastive model, its image processor (which may be None), and its tokenizer.

    Raises:
        InputError: a model without image and text embeddings, or no tokenizer.
    """
    if isinstance(model, (str, Path)):
        processor = model if processor is None else processor
        with bars_on_terminals_only():
            check_folder(str(model))
            read_config(str(model))
            model = read_weights(AutoModel, str(model))
    if isinstance(processor, (str, Path)):
        processor = read_processor(AutoProcessor, processor)
    if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
        raise InputError(
            f"model is {type(model).__name__}, expected one with image and text embeddings, such as "
            "CLIPModel"
        )
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None:
        raise InputError(
            "image_text needs processor=, the model's processor with image_processor and tokenizer, or its "
            "folder"
        )
    check_fast(tokenizer)
    return model.eval(), getattr(processor, "image_processor", None), tokenizer


def _different(items: Sequence[bytes]) -> tuple[list[bytes], Int64[np.ndarray, " u"]]:
    place = {item: i for i, item in enumerate(dict.fromkeys(items))}
    return list(place), np.array([place[item] for item in items], dtype=np.int64)


def _pooled(states: Any) -> torch.Tensor:
    return states if isinstance(states, torch.Tensor) else states.pooler_output


def _unit(rows: Float64[np.ndarray, "u d"]) -> Float64[np.ndarray, "u d"]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)

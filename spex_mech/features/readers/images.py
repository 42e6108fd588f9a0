"""Images with missing regions, read by a Hugging Face image classifier."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64
from transformers import AutoImageProcessor, AutoModelForImageClassification

from spex_mech.core.errors import InputError
from spex_mech.features.canvas import Canvas
from spex_mech.features.readers.model import weights_key
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
        return in_batches(
            self.canvas, inputs, self.hf, lambda pixels: self.hf(pixel_values=pixels).logits
        )

    def show(self, regions: bytes, /) -> Any:
        """The image's pixel values, float32 (c, h, w)."""
        return self.canvas.compose(np.frombuffer(regions, dtype=bool)[None])[0]


def in_batches(
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
            model = AutoModelForImageClassification.from_pretrained(model, use_safetensors=True)
    elif not hasattr(model, "config") or "ImageClassification" not in type(model).__name__:
        raise InputError(
            f"model is {type(model).__name__}, expected a ...ForImageClassification, its name or its "
            "folder; for models such as CLIP use image_text"
        )
    if isinstance(processor, (str, Path)):
        processor = AutoImageProcessor.from_pretrained(processor)
    return model.eval(), processor

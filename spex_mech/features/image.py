"""`image` and `image_text`: the parts of an image, or of an image and a text, as players."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet
from spex_mech.features.canvas import Canvas, canvas_of, region_names
from spex_mech.features.game import FeatureGame, model_name
from spex_mech.features.options import Level, Regions, Removal
from spex_mech.features.parts import CutText, part_texts
from spex_mech.features.spans import Pair, span_names
from spex_mech.features.text import level_name
from spex_mech.features.values import class_reading


def image(
    model: Any,
    image: Any,
    *,
    level: str | Regions = "patches",
    value: str | None = None,
    target: int | str | None = None,
    processor: Any | None = None,
) -> FeatureGame:
    """Make a game whose players are the parts of an image, for a Hugging Face image classifier.

    Regions are cut out of the image as the model sees it, after its own resizing and cropping.

    >>> game = sm.features.image("models/vit", "bird.jpg", level=sm.features.Regions(grid=4, fill="blur"))

    Args:
        model: a name or folder, or an image classifier.
        image: a file; a PIL image of any mode; an array or tensor (h, w) or (h, w, channels) from 0 to
            255, in floats also from 0 to 1, in uint16 to 65535; or the model's own float pixel values
            (c, h, w).
        level: ``patches`` (7 x 7), ``superpixels`` (about 50), or `Regions`, which also say what stands
            in the place of missing parts (by default the image's mean colour).
        value: ``logit`` (the default), ``margin``, ``logprob``, ``logodds`` or ``similarity``, see
            `class_reading`.
        target: a class by number or label; by default the class of the whole image.
        processor: of a model that is given as an object: its image processor, or its folder.

    Raises:
        InputError: a model, image, level, fill, value or target that cannot be used.
        MissingFileError: an image file that does not exist.
    """
    from spex_mech.features.readers.images import ImageSource, load_classifier

    hf, processor = load_classifier(model, processor)
    regions = _regions(level)
    canvas = _canvas(image, processor, regions, hf.config)
    source = ImageSource(canvas, hf)
    labels = {int(c): str(label) for c, label in hf.config.id2label.items()}
    reading = class_reading(value, target, source.whole, labels)
    players = PlayerSet.from_names(region_names(regions, canvas.n))
    settings = {"model": model_name(model), "image_level": regions.level, "fill": _fill(regions)}
    return FeatureGame(players, source, reading, canvas.picture, settings=settings)


def image_text(
    model: Any,
    image: Any,
    text: str | Sequence[str],
    *,
    image_level: str | Regions | None = "patches",
    text_level: Level = "word",
    value: str | None = None,
    removal: str | Removal | None = None,
    processor: Any | None = None,
) -> FeatureGame:
    """Make a game whose players are the parts of an image and of a text, for a model such as CLIP.

    The image's parts come first. Every different image and every different text is embedded once.

    Args:
        model: a name or folder, or a model with image and text embeddings (CLIP, SigLIP, ALIGN, ...).
        image: see `image`.
        text: the text; of several texts the first, with which the others, which stay whole, are compared.
        image_level: see ``level`` of `image`; None keeps the image whole.
        text_level: ``token``, ``word``, ``sentence``, ``paragraph``, or the parts' own characters (start,
            stop); None keeps the text whole.
        value: ``logit`` (the default): the cosine of the embeddings times the model's scale; or, with
            several texts, ``margin`` (over the best other text), ``logprob`` or ``logodds``.
        removal: see `text`.
        processor: of a model that is given as an object: its processor (image processor and tokenizer), or
            its folder.

    Raises:
        InputError: input that cannot be used, or nothing that may go missing.
        MissingFileError: an image file that does not exist.
    """
    from spex_mech.features.readers.images import PairSource, load_pair_model
    from spex_mech.features.tokenizing import tokenize

    if image_level is None and text_level is None:
        raise InputError("image and text both stay whole; give image_level= or text_level=")
    if value not in (None, "logit", "margin", "logprob", "logodds"):
        raise InputError(f"value is {value!r}, expected logit, margin, logprob or logodds")
    hf, image_processor, tokenizer = load_pair_model(model, processor)
    regions = _regions(image_level) if image_level else Regions(grid=1)
    vision = getattr(hf.config, "vision_config", hf.config)
    canvas = _canvas(image, image_processor, regions, vision)
    caption, *others = [text] if isinstance(text, str) else text
    removal = removal if isinstance(removal, Removal) else Removal(removal)
    parts = part_texts([CutText(caption, text_level)], removal, tokenizer=tokenizer)
    layout = tokenize(tokenizer, parts, closing=True)
    source = PairSource(canvas, layout, hf, tokenizer, others, whole_image=image_level is None)
    reading = class_reading(value, 0, source.whole, dict(enumerate([caption, *others])))
    names = region_names(regions, canvas.n) if image_level else []
    players = PlayerSet.from_names([*names, *span_names(caption, parts.passage.spans)])
    picture = canvas.picture
    if image_level is None:
        picture = replace(picture, regions=np.full_like(picture.regions, -1))
    settings = {
        "model": model_name(model),
        "image_level": regions.level if image_level else "whole",
        "fill": _fill(regions),
        "text_level": level_name(text_level),
        "removal": parts.stand_ins.kind,
        "others": " / ".join(others),
    }
    subject = Pair(picture, parts.passage)
    return FeatureGame(players, source, reading, subject, seed=removal.seed, settings=settings)


def _canvas(image: Any, processor: Any | None, regions: Regions, config: Any) -> Canvas:
    """The image as the model sees it, with as many channels as the model reads."""
    canvas = canvas_of(image, processor, regions)
    channels, wanted = len(canvas.values), getattr(config, "num_channels", None)
    if isinstance(wanted, int) and channels != wanted:
        raise InputError(
            f"the image has {channels} channels as pixel values {canvas.values.shape}, the model reads "
            f"{wanted}; give an image, or float pixel values ({wanted}, height, width)"
        )
    return canvas


def _regions(level: str | Regions) -> Regions:
    return level if isinstance(level, Regions) else Regions(level)


def _fill(regions: Regions) -> str:
    return regions.fill if isinstance(regions.fill, str) else "another image"

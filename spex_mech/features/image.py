"""`image` and `image_text`: the parts of an image, or of an image and a text, as players."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet
from spex_mech.features.canvas import canvas_of, region_names
from spex_mech.features.game import FeatureGame, model_name
from spex_mech.features.spans import Pair, Passage, Span, check_spans, span_names, split_text
from spex_mech.features.values import class_reading
from spex_mech.features.wording import Replacements, removal_of, wording_of


def image(
    model: Any,
    image: Any,
    *,
    level: str = "patches",
    grid: int | tuple[int, int] = 7,
    segments: int = 50,
    fill: Any = "mean",
    blur: float = 0.06,
    value: str | None = None,
    target: int | str | None = None,
    processor: Any | None = None,
) -> FeatureGame:
    """Make a game whose players are the parts of an image, for a Hugging Face image classifier.

    Regions are cut out of the image as the model sees it, after its own resizing and cropping.

    Args:
        model: a name or folder, or an image classifier.
        image: a file, a PIL image, uint8 (h, w, 3), or float pixel values (c, h, w).
        level: ``patches`` or ``superpixels``.
        grid: rows and columns of patches, or one number for both.
        segments: about how many superpixels.
        fill: what stands in the place of missing parts: ``mean`` (the image's mean colour), ``blur``,
            ``zero``, or another image.
        blur: standard deviation of the blur as a share of the image's side.
        value: ``logit`` (the default), ``margin``, ``logprob``, ``logodds`` or ``similarity``, see
            `class_reading`.
        target: a class by number or label; by default the one of the whole image.
        processor: of a model that is given as an object: its image processor, or its folder.

    Raises:
        InputError: a model, image, level, fill, value or target that cannot be used.
        MissingFileError: an image file that is not there.
    """
    from spex_mech.features.readers.images import ImageSource, load_classifier

    hf, own = load_classifier(model, processor)
    canvas = canvas_of(image, own, level=level, grid=grid, segments=segments, fill=fill, blur=blur)
    source = ImageSource(canvas, hf)
    labels = {int(c): str(label) for c, label in hf.config.id2label.items()}
    reading = class_reading(value, target, source.whole, labels)
    players = PlayerSet.from_names(region_names(level, canvas, grid))
    asked = {"model": model_name(model), "image_level": level, "fill": _told(fill)}
    return FeatureGame(players, source, reading, canvas.picture, asked=asked)


def image_text(
    model: Any,
    image: Any,
    text: str,
    *,
    others: Sequence[str] = (),
    image_level: str | None = "patches",
    text_level: str | None = "word",
    spans: Sequence[Span | Sequence[int]] | None = None,
    grid: int | tuple[int, int] = 7,
    segments: int = 50,
    fill: Any = "mean",
    blur: float = 0.06,
    removal: str | None = None,
    filler: str = "…",
    replacements: Replacements | None = None,
    value: str | None = None,
    processor: Any | None = None,
    seed: int = 0,
) -> FeatureGame:
    """Make a game whose players are the parts of an image and of a text, for a model such as CLIP.

    The image's parts come first. Every different image and every different text is embedded once.

    Args:
        model: a name or folder, or a model with image and text embeddings (CLIP, SigLIP, ALIGN, ...).
        image: see `image`.
        text: the text.
        others: other texts that stay whole, for a comparison.
        image_level: see `image`; None keeps the image whole.
        text_level: ``token``, ``word``, ``sentence`` or ``paragraph``; None keeps the text whole.
        spans: the text's parts instead of a level.
        grid: see `image`.
        segments: see `image`.
        fill: see `image`.
        blur: see `image`.
        removal: see `text`.
        filler: see `text`.
        replacements: see `text`.
        value: ``logit`` (the default): the cosine of the embeddings times the model's scale; or, with
            other texts, ``margin`` (over the best of them), ``logprob`` or ``logodds``.
        processor: of a model that is given as an object: its processor (image processor and tokenizer), or
            its folder.
        seed: see `text`.

    Raises:
        InputError: input that cannot be used, or nothing that may go missing.
    """
    from spex_mech.features.readers.image_text import PairSource, load_pair_model
    from spex_mech.features.tokenizing import token_spans, tokenize

    hf, own, tokenizer = load_pair_model(model, processor)
    if image_level is None and text_level is None and spans is None:
        raise InputError("image and text both stay whole; give image_level= or text_level=")
    canvas = canvas_of(
        image,
        own,
        level=image_level or "patches",
        grid=grid if image_level else 1,
        segments=segments,
        fill=fill,
        blur=blur,
    )
    if spans is not None:
        parts = check_spans(text, spans)
    elif text_level == "token":
        parts = token_spans(tokenizer, text)
    else:
        parts = split_text(text, text_level) if text_level else []
    passage = Passage(text, tuple(parts))
    own_texts = [text[s.start : s.stop] for s in parts]
    how = removal_of(removal, own_texts, filler=filler, replacements=replacements)
    wording = wording_of(text, parts, how.texts or ((),) * len(parts))
    layout = tokenize(tokenizer, wording, how, len(parts), closing=True)
    source = PairSource(canvas, layout, hf, tokenizer, others, whole_image=image_level is None)
    if value not in (None, "logit", "margin", "logprob", "logodds"):
        raise InputError(f"value is {value!r}, expected logit, margin, logprob or logodds")
    labels = dict(enumerate([text, *others]))
    reading = class_reading(value, 0, source.whole, labels)
    regions = region_names(image_level, canvas, grid) if image_level else []
    players = PlayerSet.from_names([*regions, *span_names(text, parts)])
    picture = canvas.picture
    if image_level is None:
        picture = replace(picture, regions=np.full_like(picture.regions, -1))
    asked = {
        "model": model_name(model),
        "image_level": image_level or "whole",
        "fill": _told(fill),
        "text_level": "spans" if spans is not None else text_level or "whole",
        "removal": how.kind,
        "others": " / ".join(others),
    }
    return FeatureGame(players, source, reading, Pair(picture, passage), seed=seed, asked=asked)


def _told(fill: Any) -> str:
    return fill if isinstance(fill, str) else "another image"

"""Networks to train: a multilayer perceptron, ResNet-9, the Hugging Face ResNet, a text classifier.

None has batch normalisation unless asked for: with it an example's output depends on the examples beside
it, so that models of different subsets cannot share a minibatch. Group normalisation stands in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import gcd, prod
from typing import Any

import torch
from torch import Tensor, nn

from spex_mech.core.errors import InputError
from spex_mech.models.broken import reading
from spex_mech.models.loaded import check_loaded, without_report

_GROUP = 8  # channels per group, where they divide


def multilayer(shape: Sequence[int], classes: int, hidden: Sequence[int] = (32,)) -> nn.Module:
    """A perceptron with ReLU layers on flattened inputs.

    Args:
        shape: of one input, such as (1, 8, 8).
        classes: number of classes.
        hidden: units of each hidden layer; none for a linear model.
    """
    widths = [prod(shape), *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))


def resnet9(classes: int, *, channels: int = 3, width: int = 64) -> nn.Module:
    """ResNet-9 (Page 2018, "How to train your ResNet"), as data-attribution studies use it.

    Four convolutions, two of them followed by a residual block of two, global max-pooling and a linear
    head; with group normalisation.

    Args:
        classes: number of classes.
        channels: of the images, which are (b, channels, height, width) from 0 to 1, 16 × 16 or larger.
        width: channels of the first convolution; 64 is the published one.
    """
    return nn.Sequential(
        _Standardise(),
        _convolution(channels, width),
        _convolution(width, 2 * width, pool=True),
        _Residual(_convolution(2 * width, 2 * width), _convolution(2 * width, 2 * width)),
        _convolution(2 * width, 4 * width, pool=True),
        _convolution(4 * width, 8 * width, pool=True),
        _Residual(_convolution(8 * width, 8 * width), _convolution(8 * width, 8 * width)),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(8 * width, classes),
    )


def hugging_face_resnet(
    classes: int,
    *,
    name: str | None = None,
    channels: int = 3,
    depths: Sequence[int] = (2, 2, 2, 2),
    hidden_sizes: Sequence[int] = (64, 128, 256, 512),
    batch_norm: bool = False,
) -> nn.Module:
    """The ResNet of Hugging Face Transformers, with its image classifier's head.

    Args:
        classes: number of classes.
        name: hub id or local folder to start from, with a new head; None for random weights. Depths
            and sizes are then those of the checkpoint.
        channels: of the images.
        depths: blocks of each stage; (2, 2, 2, 2) is ResNet-18.
        hidden_sizes: channels of each stage.
        batch_norm: keep batch normalisation; models are then trained one at a time.

    Raises:
        MissingFileError: the checkpoint is not there, or has no weights in safetensors.
        InputError: a checkpoint that lacks weights other than the head's, or cannot be read.
    """
    from transformers import ResNetConfig, ResNetForImageClassification

    if name is None:
        config = ResNetConfig(
            num_channels=channels,
            embedding_size=hidden_sizes[0],
            hidden_sizes=list(hidden_sizes),
            depths=list(depths),
            layer_type="basic",
            num_labels=classes,  # pyright: ignore[reportCallIssue]
        )
        model: nn.Module = ResNetForImageClassification(config)
    else:
        with without_report(), reading("weights", name):
            loaded: Any = ResNetForImageClassification.from_pretrained(
                name,
                num_labels=classes,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                use_safetensors=True,
            )
        model, info = loaded
        check_loaded(model, _without_head(info), name)
    return model if batch_norm else group_norms(model)


def _without_head(info: dict[str, Any]) -> dict[str, Any]:
    """What loading told of all weights but those of the head, which is a new one."""
    of_head = lambda key: key.startswith("classifier.")  # noqa: E731
    return {
        **info,
        "missing_keys": [key for key in info["missing_keys"] if not of_head(key)],
        "unexpected_keys": [key for key in info["unexpected_keys"] if not of_head(key)],
        "mismatched_keys": [entry for entry in info["mismatched_keys"] if not of_head(entry[0])],
    }


def text_classifier(
    vocabulary: int, classes: int, *, width: int = 16, filters: int = 32, span: int = 3
) -> nn.Module:
    """A small convolutional text classifier (Kim 2014): embeddings, one convolution, max over positions.

    Args:
        vocabulary: number of token ids; 0 is padding.
        classes: number of classes.
        width: of the embeddings.
        filters: of the convolution.
        span: tokens a filter sees.
    """
    return _TextClassifier(vocabulary, classes, width, filters, span)


def group_norms(module: nn.Module) -> nn.Module:
    """Put a group normalisation in place of every two-dimensional batch normalisation; changes ``module``."""
    for name, part in module.named_children():
        if isinstance(part, nn.BatchNorm2d):
            setattr(module, name, _group_norm(part.num_features))
        else:
            group_norms(part)
    return module


class _Standardise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5) * 4.0


class _Residual(nn.Module):
    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.parts(x)


class _TextClassifier(nn.Module):
    def __init__(self, vocabulary: int, classes: int, width: int, filters: int, span: int) -> None:
        super().__init__()
        if min(vocabulary, classes, width, filters, span) < 1 or span % 2 == 0:
            raise InputError(
                f"span is {span}, expected an odd number of tokens; all sizes positive"
            )
        self.embedding = nn.Embedding(vocabulary, width)
        self.convolution = nn.Conv1d(width, filters, span, padding=span // 2)
        self.head = nn.Linear(filters, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        present = (tokens != 0).unsqueeze(1)
        x = self.embedding(tokens).transpose(1, 2) * present
        x = torch.relu(self.convolution(x)) * present
        return self.head(x.amax(dim=2))


def _convolution(a: int, b: int, *, pool: bool = False) -> nn.Module:
    parts: list[nn.Module] = [
        nn.Conv2d(a, b, 3, padding=1, bias=False),
        _group_norm(b),
        nn.ReLU(),
    ]
    return nn.Sequential(*parts, nn.MaxPool2d(2)) if pool else nn.Sequential(*parts)


def _group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // gcd(channels, _GROUP)), channels)

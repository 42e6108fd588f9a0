"""Images, and images with texts, against plain forward passes."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import transformers
from scipy import ndimage

import spex_mech as sm
from spex_mech import features
from spex_mech.core.errors import InputError
from spex_mech.features.canvas import patches, superpixels
from spex_mech.features.options import Regions

RNG = np.random.default_rng
SIZE = 32


@pytest.fixture(scope="module")
def vit(make):
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        image_size=SIZE,
        patch_size=8,
        id2label={0: "cat", 1: "dog", 2: "tree"},
    )
    return make.seeded(lambda: transformers.ViTForImageClassification(config))


@pytest.fixture(scope="module")
def clip(make):
    text = {"vocab_size": 120, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 4, "max_position_embeddings": 24, "eos_token_id": 3}
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    vision |= {"num_attention_heads": 4, "image_size": SIZE, "patch_size": 8}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    return make.seeded(lambda: transformers.CLIPModel(config))


@pytest.fixture(scope="module")
def processor():
    return transformers.ViTImageProcessorPil(size={"height": SIZE, "width": SIZE})


@pytest.fixture(scope="module")
def photo():
    """A blue field with a red disk and a green bar, larger than the model's input."""
    y, x = np.mgrid[:60, :80]
    pixels = np.full((60, 80, 3), (30, 60, 200), dtype=np.uint8)
    pixels[(y - 20) ** 2 + (x - 25) ** 2 < 150] = (220, 40, 30)
    pixels[45:52, 30:75] = (20, 200, 60)
    return pixels


def logits(hf, pixels: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return hf(pixel_values=torch.from_numpy(pixels)[None]).logits[0].double().numpy()


def masks_of(n: int, count: int = 12) -> np.ndarray:
    drawn = RNG(0).random((count, n)) < 0.5
    return np.concatenate([drawn, np.ones((1, n), bool), np.zeros((1, n), bool)])


@pytest.mark.parametrize("fill", ["mean", "blur", "zero", "image"])
def test_patches_by_hand(vit, processor, photo, fill):
    given = photo[::-1].copy() if fill == "image" else fill
    game = features.image(
        vit,
        photo,
        processor=processor,
        level=Regions(grid=(4, 2), fill=given, blur=0.1),
        target="dog",
        value="margin",
    )
    x = processor(images=photo, return_tensors="np")["pixel_values"][0]
    gone = {
        "mean": np.broadcast_to(x.mean((1, 2), keepdims=True), x.shape),
        "zero": 0 * x,
        "blur": np.stack([ndimage.gaussian_filter(c, 3.2, mode="nearest") for c in x]),
        "image": processor(images=photo[::-1].copy(), return_tensors="np")["pixel_values"][0],
    }[fill]
    masks = masks_of(8)
    expected = []
    for mask in masks:
        made = gone.copy()
        for i in np.flatnonzero(mask):
            rows, columns = (
                slice(8 * (i // 2), 8 * (i // 2) + 8),
                slice(16 * (i % 2), 16 * (i % 2) + 16),
            )
            made[:, rows, columns] = x[:, rows, columns]
        np.testing.assert_allclose(game.shown(mask), made, atol=1e-6)
        z = logits(vit, made.astype(np.float32))
        expected.append(z[1] - max(z[0], z[2]))
    np.testing.assert_allclose(game(masks), expected, atol=1e-4)
    assert game.players.names[3] == "row 1 col 1"


def test_pixel_values_need_no_processor(vit, processor, photo):
    x = processor(images=photo, return_tensors="np")["pixel_values"][0]
    a = features.image(vit, photo, processor=processor, target=0)
    b = features.image(vit, x, target=0)
    masks = masks_of(49, 3)
    np.testing.assert_array_equal(a(masks), b(masks))
    assert a.fingerprint == b.fingerprint
    assert a.fingerprint != features.image(vit, x, target=0, level=Regions(fill="zero")).fingerprint


def test_a_file_is_read(vit, processor, photo, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow comes with matplotlib")
    image.fromarray(photo).save(tmp_path / "a.png")
    whole = np.ones((1, 49), dtype=bool)
    from_file = features.image(vit, tmp_path / "a.png", processor=processor)
    assert from_file(whole) == features.image(vit, photo, processor=processor)(whole)


def test_superpixels_follow_the_colours(photo):
    regions = superpixels(photo, 30)
    numbers = np.unique(regions)
    assert numbers.tolist() == list(range(len(numbers))) and 20 <= len(numbers) <= 36
    flat = photo.reshape(-1, 3).astype(int) @ [1, 1000, 1000000]
    pure = sum(np.unique(flat[regions.ravel() == i], return_counts=True)[1].max() for i in numbers)
    grid = patches(60, 80, 5, 6)
    as_grid = sum(
        np.unique(flat[grid.ravel() == i], return_counts=True)[1].max() for i in range(30)
    )
    assert pure / flat.size > 0.995 > as_grid / flat.size
    for i in numbers:  # each in one piece
        assert ndimage.label(regions == i)[1] == 1


def test_patches_share_the_pixels_evenly():
    grid = patches(10, 7, 3, 2)
    sizes = np.bincount(grid.ravel())
    assert (
        len(sizes) == 6 and sizes.max() - sizes.min() <= 7 and grid[0, 0] == 0 and grid[9, 6] == 5
    )


def test_superpixels_as_players(vit, processor, photo):
    game = features.image(
        vit, photo, processor=processor, level=Regions("superpixels", segments=12)
    )
    n = game.players.n
    assert game.players.names[0] == "segment 0" and game.subject.regions.max() == n - 1
    x = game.source.canvas.values
    mask = RNG(1).random(n) < 0.5
    there = mask[game.subject.regions]
    np.testing.assert_array_equal(game.shown(mask)[:, there], x[:, there])
    shown = features.view(game, sm.Spectrum.from_supports([(0, 1)], [1.0], n))
    assert shown.html().count("<path data-part") == n


class Processor:
    def __init__(self, image_processor, tokenizer):
        self.image_processor, self.tokenizer = image_processor, tokenizer


CAPTION = "the trolley runs down another track"


@pytest.mark.parametrize("value", ["logit", "margin"])
def test_an_image_with_its_text_by_hand(clip, make, processor, photo, value):
    both = Processor(processor, make.word_piece())
    others = ["a fruit", "the key is in the kitchen"]
    game = features.image_text(
        clip,
        photo,
        [CAPTION, *others] if value == "margin" else CAPTION,
        processor=both,
        image_level=Regions(grid=2, fill="zero"),
        value=value,
    )
    assert game.players.n == 4 + 6
    x = processor(images=photo, return_tensors="np")["pixel_values"][0]

    def score(mask, text=None):
        made = np.zeros_like(x)
        for i in np.flatnonzero(mask[:4]):
            at = (slice(16 * (i // 2), 16 * (i // 2) + 16), slice(16 * (i % 2), 16 * (i % 2) + 16))
            made[:, at[0], at[1]] = x[:, at[0], at[1]]
        words = " ".join(w for w, k in zip(CAPTION.split(), mask[4:], strict=True) if k)
        ids = torch.tensor([both.tokenizer(words if text is None else text)["input_ids"]])
        with torch.no_grad():
            out = clip(input_ids=ids, pixel_values=torch.from_numpy(made)[None])
        return float(out.logits_per_image[0, 0])

    masks = masks_of(10, 8)
    expected = [
        score(m) - (max(score(m, t) for t in others) if value == "margin" else 0) for m in masks
    ]
    np.testing.assert_allclose(game(masks), expected, atol=1e-4)


def test_each_image_and_text_is_embedded_once(clip, make, processor, photo):
    both = Processor(processor, make.word_piece())
    game = features.image_text(
        clip, photo, "a a fruit", processor=both, image_level=Regions(grid=1)
    )
    seen, read = [], []
    handles = [
        clip.vision_model.register_forward_pre_hook(
            lambda m, a, k: seen.append(len(k["pixel_values"])), with_kwargs=True
        ),
        clip.text_model.register_forward_pre_hook(
            lambda m, a, k: read.append(len(k["input_ids"])), with_kwargs=True
        ),
    ]
    game(sm.designs.exhaustive(4).masks)
    for handle in handles:
        handle.remove()
    assert sum(seen) == 2 and sum(read) == 6  # "", a, a a, each with and without fruit


def test_one_side_may_stay_whole(clip, make, processor, photo):
    both = Processor(processor, make.word_piece())
    pixels = features.image_text(
        clip, photo, "a fruit", processor=both, text_level=None, image_level=Regions(grid=2)
    )
    words = features.image_text(clip, photo, "a fruit", processor=both, image_level=None)
    assert (pixels.players.n, words.players.n) == (4, 2)
    whole = pixels(np.ones((1, 4), bool))
    np.testing.assert_allclose(words(np.ones((1, 2), bool)), whole, atol=1e-5)
    shown = features.view(words, sm.exact_spectrum(words(sm.designs.exhaustive(2).masks)))
    assert shown.label((0,)) == "a" and shown.effects[0] == pytest.approx(
        (words([[True, True], [True, False]]) - words([[False, True], [False, False]])).mean()
    )
    parts = re.findall(r'<span data-part="(\d)".*?>(\w+)<', shown.html())
    assert parts == [("0", "a"), ("1", "fruit")] and "<path data-part" not in shown.html()
    seen = features.view(pixels, sm.exact_spectrum(pixels(sm.designs.exhaustive(4).masks)))
    assert seen.html().count("<path data-part") == 4 and "<span data-part" not in seen.html()


def test_bad_images(vit, clip, make, processor, photo):
    both = Processor(processor, make.word_piece())
    bad = [
        (lambda: features.image(vit, photo), "needs processor="),
        (lambda: features.image(vit, photo[0, 0], processor=processor), r"expected a file, a PIL"),
        (
            lambda: features.image(vit, photo, processor=processor, level="x"),
            "'patches' or 'superpixels'",
        ),
        (
            lambda: features.image(vit, photo, processor=processor, level=Regions(grid=40)),
            "1 to 32 rows",
        ),
        (
            lambda: features.image(vit, photo, processor=processor, level=Regions(fill="x")),
            "expected one of mean",
        ),
        (
            lambda: features.image(
                vit, photo, processor=processor, level=Regions(fill="blur", blur=0)
            ),
            "above 0",
        ),
        (
            lambda: features.image(
                vit, photo, processor=processor, level=Regions("superpixels", segments=0)
            ),
            "expected 1 to 1024",
        ),
        (lambda: features.image(vit, "nowhere.png", processor=processor), "does not exist"),
        (lambda: features.image(clip, photo, processor=processor), "use image_text"),
        (
            lambda: features.image(vit, photo, processor=processor, target="cow"),
            "expected a class: cat",
        ),
        (lambda: features.image_text(vit, photo, "a", processor=both), "image and text embeddings"),
        (lambda: features.image_text(clip, photo, "a", processor=processor), "needs processor="),
        (lambda: features.image_text(clip, photo, "a " * 40, processor=both), "context holds 24"),
        (
            lambda: features.image_text(
                clip, photo, "a", processor=both, image_level=None, text_level=None
            ),
            "both stay whole",
        ),
        (
            lambda: features.image_text(clip, photo, "a", processor=both, value="margin"),
            "single output",
        ),
    ]
    for call, message in bad:
        with pytest.raises(InputError, match=message):
            call()

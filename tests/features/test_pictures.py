"""Pictures of every kind, as PIL, NumPy and PyTorch hold them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from spex_mech import features
from spex_mech.core.errors import InputError
from spex_mech.features.pictures import read_image

Image = pytest.importorskip("PIL.Image", reason="Pillow comes with matplotlib")

Y, X = np.mgrid[:24, :32]
PHOTO = np.stack([8 * X, 10 * Y, 255 - 8 * X], axis=2).astype(np.uint8)
GREY = (4 * X + 5 * Y).astype(np.uint8)


def shades(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize(
    "mode", ["RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "LAB", "P", "PA"]
)
def test_colours_of_every_pil_mode(mode):
    """The same picture in another mode stays the same, up to what the mode cannot hold."""
    if mode == "LAB":
        from PIL import ImageCms

        standard, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(Image.fromarray(PHOTO), standard, lab, outputMode="LAB")
        assert image is not None
    elif mode == "PA":
        image = Image.fromarray(PHOTO).convert("P").convert("PA")
    else:
        image = Image.fromarray(PHOTO).convert(mode)
    assert image.mode == mode
    read = read_image(image)
    assert (read.dtype, read.shape) == (np.uint8, PHOTO.shape)
    difference = np.abs(read.astype(int) - PHOTO)
    most = {"P": 60, "PA": 60, "LAB": 40, "YCbCr": 4, "HSV": 16}.get(mode, 1)
    assert difference.max() <= most and difference.mean() <= most / 3


@pytest.mark.parametrize("mode", ["L", "LA", "La", "I", "I;16", "I;16B", "F", "1"])
def test_shades_of_every_pil_mode(mode):
    grey = Image.fromarray(GREY)
    if mode.startswith("I;16"):
        wide = GREY.astype(np.dtype(">u2" if mode == "I;16B" else "<u2")) * 257
        image = Image.frombytes(mode, grey.size, wide.tobytes())
    else:
        image = (grey.convert("LA") if mode == "La" else grey).convert(mode)
    assert image.mode == mode
    expected = np.asarray(image).astype(np.uint8) * 255 if mode == "1" else GREY
    np.testing.assert_array_equal(read_image(image), shades(expected))


def test_pil_pictures_of_more_than_eight_bits():
    deep = Image.fromarray(GREY.astype(np.int32) * 257)
    assert deep.mode == "I"
    np.testing.assert_array_equal(read_image(deep), shades(GREY))
    unit = Image.fromarray(GREY.astype(np.float32) / 255)
    assert unit.mode == "F"
    np.testing.assert_array_equal(read_image(unit), shades(GREY))
    for wrong in (GREY.astype(np.int32) - 9, GREY.astype(np.int32) * 999):
        with pytest.raises(InputError, match=r"values from .*; expected 0 to 1 or 0 to 255"):
            read_image(Image.fromarray(wrong))
    with pytest.raises(InputError, match="values from 0 to 510; expected 0 to 1"):
        read_image(Image.fromarray(np.linspace(0, 510, 12, dtype=np.float32).reshape(3, 4)))


def test_a_picture_is_turned_as_it_was_taken(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    Image.fromarray(PHOTO).save(tmp_path / "a.png", exif=exif)
    expected = np.rot90(PHOTO, -1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)
    np.testing.assert_array_equal(read_image(Image.open(tmp_path / "a.png")), expected)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (PHOTO, PHOTO),
        (PHOTO.tolist(), PHOTO),
        (PHOTO.astype(np.int64), PHOTO),
        (PHOTO.astype(np.uint16) * 257, PHOTO),
        (PHOTO.astype(np.int32) * 257, PHOTO),
        (PHOTO / 255, PHOTO),
        ((PHOTO / 255).astype(np.float16), PHOTO),
        (PHOTO.astype(np.float32), PHOTO),
        (np.dstack([PHOTO, GREY]), PHOTO),
        (np.dstack([PHOTO, GREY]) / 255, PHOTO),
        (np.moveaxis(PHOTO, 2, 0), PHOTO),
        (GREY, shades(GREY)),
        (GREY[..., None], shades(GREY)),
        (GREY / 255, shades(GREY)),
        (np.dstack([GREY, 255 - GREY]), shades(GREY)),
        (GREY > 99, shades((GREY > 99).astype(np.uint8) * 255)),
        (torch.from_numpy(PHOTO), PHOTO),
        (torch.from_numpy(PHOTO).permute(2, 0, 1), PHOTO),
        (torch.from_numpy(PHOTO / 255).requires_grad_(), PHOTO),
    ],
)
def test_arrays_and_tensors(picture, expected):
    read = read_image(picture)
    assert read.dtype == np.uint8
    np.testing.assert_allclose(read.astype(int), expected, atol=0)


def test_floats_with_channels_first_are_the_models_own_values():
    values = np.random.default_rng(0).normal(size=(3, 24, 32))
    read = read_image(values)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, values, atol=1e-6)
    tensor = torch.from_numpy(values).bfloat16().requires_grad_()
    np.testing.assert_allclose(read_image(tensor), values, atol=0.02)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros(5, np.uint8), r"the image is uint8 \(5,\); expected a file, a PIL image"),
        (np.zeros((1, 3, 8, 8)), r"float64 \(1, 3, 8, 8\); expected"),
        (np.zeros((0, 8, 3), np.uint8), r"uint8 \(0, 8, 3\); expected"),
        (np.zeros((8, 8, 5), np.uint8), r"has shape \(8, 8, 5\); expected"),
        (np.full((8, 9, 3), np.nan), "values that are not finite"),
        (np.full((3, 8, 9), np.inf), "values that are not finite"),
        (np.full((8, 9, 3), -0.5), "values from -0.5 to -0.5; .* channels stand first"),
        (np.full((8, 9, 3), 256.0), "values from 256 to 256; expected"),
        (np.full((8, 9, 3), 70000), "values from 70000 to 70000; expected"),
        (np.full((8, 9, 3), "x"), "the image is <U1"),
        ([[1, 2], [3]], "the image is no array"),
        (None, "the image is object"),
        (np.zeros((8, 9), complex), "the image is complex128"),
    ],
)
def test_what_is_no_picture(picture, message):
    with pytest.raises(InputError, match=message):
        read_image(picture)


def test_a_mode_that_pillow_cannot_turn_into_colours(monkeypatch):
    def convert(self, mode):
        raise ValueError(f"conversion from {self.mode} to {mode} not supported")

    monkeypatch.setattr(Image.Image, "convert", convert)
    with pytest.raises(InputError, match=r"image of mode 'HSV' .* convert it to RGB"):
        read_image(Image.frombytes("HSV", (1, 1), b"abc"))


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"a\.png' cannot be read: .*; give a picture such as PNG"):
        read_image(tmp_path / "a.png")
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "b.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:2000])
    with pytest.raises(InputError, match="cannot be read"):
        read_image(tmp_path / "b.png")


def test_a_game_of_any_kind_of_picture_is_the_same_game(make):
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=16,
        patch_size=8,
    )
    vit = make.seeded(lambda: transformers.ViTForImageClassification(config))
    processor = transformers.ViTImageProcessorPil(size={"height": 16, "width": 16})
    whole = features.image(vit, PHOTO, processor=processor, target=0)
    for same in (PHOTO / 255, Image.fromarray(PHOTO), torch.from_numpy(PHOTO).permute(2, 0, 1)):
        game = features.image(vit, same, processor=processor, target=0)
        assert game.fingerprint == whole.fingerprint
    fill = features.Regions(fill=GREY / 255)  # pictures as fills, too
    features.image(vit, PHOTO, processor=processor, target=0, level=fill)
    with pytest.raises(
        InputError, match=r"1 channels as pixel values \(1, 16, 16\), the model reads 3"
    ):
        features.image(vit, np.zeros((1, 16, 16)), target=0)

"""A pretrained network gets a new head and nothing else that is random."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch

from spex_mech.core.errors import InputError
from spex_mech.training_data.networks import hugging_face_resnet


@pytest.fixture
def folder(tmp_path):
    """A small ResNet of five classes, saved."""
    hugging_face_resnet(5, depths=(1,), hidden_sizes=(4,), batch_norm=True).save_pretrained(
        tmp_path
    )
    return tmp_path


def test_a_checkpoint_of_other_classes_gets_a_new_head(folder):
    saved = safetensors.torch.load_file(folder / "model.safetensors")
    model = hugging_face_resnet(3, name=str(folder), batch_norm=True)
    state = model.state_dict()
    assert state["classifier.1.weight"].shape == (3, 4)
    for name, weight in saved.items():
        assert name.startswith("classifier.") or torch.equal(state[name], weight)


def test_a_checkpoint_that_lacks_a_weight_is_refused_by_name(folder):
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    name = next(key for key in weights if key.endswith("convolution.weight"))
    del weights[name]
    safetensors.torch.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=name):
        hugging_face_resnet(3, name=str(folder))


def test_pickled_weights_are_not_read(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"would be unpickled")
    with pytest.raises(InputError, match="cannot be loaded"):
        hugging_face_resnet(3, name=str(folder))

"""Reading a checkpoint's config, weights and tokenizer with Transformers; its code runs only when asked for.

Transformers asks on stdin whether to run a folder's code where it is not told. Every call that takes a
class of Transformers therefore stands here, and says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig
from transformers.utils.peft_utils import find_adapter_config_file

from spex_mech.core.errors import InputError
from spex_mech.models.broken import reading
from spex_mech.models.compact_loading import compact_class
from spex_mech.models.folders import exists
from spex_mech.models.loaded import check_loaded, without_report
from spex_mech.models.settings import check_settings

_HUB_OPTIONS = {
    "cache_dir",
    "code_revision",
    "force_download",
    "local_files_only",
    "proxies",
    "revision",
    "subfolder",
    "token",
}


def hub_options(options: dict[str, Any]) -> dict[str, Any]:
    """Those of Transformers' options that say where files come from, such as ``revision``."""
    return {name: value for name, value in options.items() if name in _HUB_OPTIONS}


def read_config(path: str, *, trust_remote_code: bool = False, **options: Any) -> Any:
    """A checkpoint's config, that of a compact checkpoint with this package's own class.

    Args:
        path: a local folder or a hub id.
        trust_remote_code: run code that came with the checkpoint.
        options: see `hub_options`.

    Raises:
        InputError: settings that no model can have, or that ask for code from elsewhere; a broken file.
    """
    with reading("config", path):
        values, _ = PreTrainedConfig.get_config_dict(path, **options)
        check_settings(values, path)
        compact = compact_class(path, trust_remote_code=trust_remote_code, **options)
        config_class = AutoConfig if compact is None else compact.config_class
        return config_class.from_pretrained(path, trust_remote_code=trust_remote_code, **options)


def read_weights(
    model_class: Any,
    path: str,
    *,
    spare: Sequence[str] = (),
    trust_remote_code: bool = False,
    **options: Any,
) -> Any:
    """A model in evaluation mode, all of whose weights were read, from safetensors only.

    Args:
        model_class: a class of Transformers, such as ``AutoModel``.
        path: a local folder or a hub id whose config was read.
        spare: modules that may be missing, since no output of theirs is used.
        trust_remote_code: run code that came with the checkpoint.
        options: passed on to ``from_pretrained``.

    Raises:
        InputError: weights that are missing, left over, or of another size; or broken files.
    """
    _refuse_adapter(path, options)
    report = {"ignore_mismatched_sizes": True, "output_loading_info": True}
    with without_report(), reading("weights", path, options):
        hf, info = model_class.from_pretrained(
            path, use_safetensors=True, trust_remote_code=trust_remote_code, **{**options, **report}
        )
    check_loaded(hf, info, path, spare)
    return hf.eval()


def read_tokenizer(path: str | Path, *, trust_remote_code: bool = False, **options: Any) -> Any:
    """A tokenizer, also that of a compact checkpoint.

    Args:
        path: a local folder or a hub id.
        trust_remote_code: run code that came with the tokenizer.
        options: see `hub_options`; and ``config``, the config of a model that stands there.
    """
    exists(str(path))
    with reading("tokenizer", path):
        trusted = trust_remote_code or "config" in options
        if not trusted and Path(path, "config.json").is_file():
            # Given the config, Transformers does not ask whether to run a compact checkpoint's code.
            compact = compact_class(path)
            if compact is not None:
                config_class = compact.config_class
                options["config"] = config_class.from_pretrained(path, trust_remote_code=False)
        return AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code, **options)


def read_processor(processor_class: Any, path: str | Path) -> Any:
    """What prepares a model's inputs; code that came with it never runs.

    Args:
        processor_class: ``AutoProcessor`` or ``AutoImageProcessor``.
        path: a local folder or a hub id.
    """
    exists(str(path))
    with reading("processor", path):
        return processor_class.from_pretrained(path, trust_remote_code=False)


def _refuse_adapter(path: str, options: dict[str, Any]) -> None:
    """Transformers would load what may be pickled, and tell of the adapter's weights only."""
    where = {k: v for k, v in hub_options(options).items() if k != "code_revision"}
    with reading("weights", path, options):
        adapter = find_adapter_config_file(path, **where)
    if adapter is not None:
        raise InputError(
            f"{path!r} has an adapter_config.json: it is an adapter of another model, expected a whole "
            "one. Merge it with peft's merge_and_unload(), and save that with save_pretrained(folder)"
        )

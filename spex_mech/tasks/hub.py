"""Datasets of the hub, or the same files in a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.tasks.tables import TableRow, read_table
from spex_mech.tasks.templates import fill

_MMLU_COLUMNS = ("question", "A", "B", "C", "D", "answer")
# The hub says "validation" where MMLU's own archive says "val".
_ARCHIVE = {"validation": "val"}


@dataclass(frozen=True)
class Dataset:
    """A dataset of the hub at one revision, or a folder that holds its files.

    Attributes:
        hub: its id, such as ``cais/mmlu``.
        revision: commit.
        folder: where its files are; None for the hub.
        alone: whether only one configuration is wanted, so that files may lie in the folder itself.
        file: a configuration's file where its authors publish it elsewhere than on the hub, such as
            ``{config}.jsonl``; it holds the one part that there is.
    """

    hub: str
    revision: str
    folder: Path | None
    alone: bool = False
    file: str | None = None

    def rows(self, config: str | None, part: str) -> list[TableRow]:
        """The rows of one part (``test``, ``dev``) of a configuration (a subject).

        A folder may have either of these layouts, below itself or below ``data``::

            <config>/<part>-00000-of-00001.parquet     as on the hub; also .jsonl or .csv, and
                                                       without <config> where there is only one
            all/<part>-00000-of-00001.parquet          with a column "subject"
            <part>/<config>_<part>.csv                 MMLU's archive: no header, the letter last
            <config>.jsonl                             what `file` says

        Raises:
            MissingFileError: the files do not exist, or the hub cannot be reached.
            InputError: a broken row; names file and row.
        """
        if self.folder is None:
            return self._from_hub(config, part)
        if not self.folder.is_dir():
            raise MissingFileError(
                f"data folder {str(self.folder)!r} does not exist; give the folder that holds the "
                f"files of {self.hub}"
            )
        for base in (self.folder, self.folder / "data"):
            # The configuration's folder, which may itself be the data folder.
            config_folder = base / config if config and base.name != config else base
            archive = _ARCHIVE.get(part, part)
            file = base / archive / f"{config}_{archive}.csv"
            if file.is_file():
                return read_table(file, _MMLU_COLUMNS)
            published = base / self._published(config)
            if published.is_file():
                return read_table(published)
            files = _matching(config_folder, part) or (_matching(base, part) if self.alone else [])
            if files:
                return [row for file in files for row in read_table(file)]
            everything = [row for file in _matching(base / "all", part) for row in read_table(file)]
            if everything:
                return [row for row in everything if row["subject"] == config]
        raise MissingFileError(self._missing(self.folder, config, part))

    def _from_hub(self, config: str | None, part: str) -> list[TableRow]:
        import datasets

        name = f"{self.hub}{f' ({config})' if config else ''} at {self.revision}"
        try:
            builder = datasets.load_dataset_builder(self.hub, config, revision=self.revision)
            _check_revision(builder.hash, self.revision, name)
            builder.download_and_prepare()
            table = builder.as_dataset(split=part)
        except InputError:
            raise
        # A dozen kinds of errors may arise on the way to the hub; all have the same remedy.
        except Exception as error:
            raise MissingFileError(
                f"cannot load {name} from the hub: {type(error).__name__}: {error}. Without a "
                f"network, put the files of https://huggingface.co/datasets/{self.hub} in a folder as "
                f"they are there ({self._example(config, part)}) and pass data=<folder>"
            ) from error
        return [
            TableRow(f"{self.hub} {config or ''} {part}, row {i}", dict(values))
            for i, values in enumerate(table, 1)
        ]

    def _published(self, config: str | None) -> str:
        """What `file` says for a configuration; nothing where it says nothing."""
        return fill(self.file or "", {"config": config or ""}, self.hub)

    def _missing(self, folder: Path, config: str | None, part: str) -> str:
        tables = sorted(p.relative_to(folder).as_posix() for p in _files(folder))
        listed = f"it holds {', '.join(tables[:5])}" if tables else "it holds no tables"
        more = f" and {len(tables) - 5} more" if len(tables) > 5 else ""
        return (
            f"data folder {str(folder)!r} has no {part} part{f' of {config}' if config else ''}: "
            f"{listed}{more}; expected {self._example(config, part)}"
        )

    def _example(self, config: str | None, part: str) -> str:
        shard = f"{part}-00000-of-00001.parquet"
        if config is None:
            return f"data/{shard}"
        if self.file:
            return f"{config}/{shard} or, as published, {self._published(config)}"
        archive = _ARCHIVE.get(part, part)
        return f"{config}/{shard} or, as in MMLU's archive, {archive}/{config}_{archive}.csv"


def _check_revision(cached: str | None, wanted: str, name: str) -> None:
    """Offline, the cache may hold another commit than the card names."""
    if cached and re.fullmatch("[0-9a-f]{40}", wanted) and cached != wanted:
        raise InputError(
            f"the cache holds commit {cached} instead of {name}; load it once with a network, or pass "
            "data=<folder>"
        )


def _matching(folder: Path, part: str) -> Sequence[Path]:
    """Tables of a folder whose name says that they belong to a part, all shards in order."""
    word = re.compile(rf"(^|[-_.]){part}([-_.]|$)")
    return sorted(p for p in _files(folder, depth=1) if word.search(p.name))


def _files(folder: Path, depth: int = 3) -> Iterator[Path]:
    for level in range(depth):
        for path in folder.glob("/".join(["*"] * (level + 1))):
            if path.suffix in (".parquet", ".jsonl", ".csv"):
                yield path

"""A dataset repository of the Hugging Face hub as the target of an export: one commit, if its parent is the one that was seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hdvg.environment import VERSION
from hdvg.errors import ResourceError, UsageError, first_line
from hdvg.exporting import Wanted, WriteAll, export, form_of
from hdvg.exporting.target import MARK, mark_at, refuse_other

if TYPE_CHECKING:
    from rich.console import Console

    from hdvg.dataset.dataset import Dataset

LINK = re.compile(r"hf:/+datasets/([\w.-]+/[\w.-]+?)(?:@([\w.-]+))?/?")
"""As a `Path` has it too, which keeps one slash of `hf://`."""
THE_HUBS_OWN = frozenset({".gitattributes"})
CREDENTIALS = "log in with `hf auth login`, or let HF_TOKEN hold a token that may write there"


@dataclass(frozen=True)
class Repository:
    """A dataset repository, and the branch of it."""

    name: str
    branch: str

    @property
    def link(self) -> str:
        """As a user writes it."""
        return f"hf://datasets/{self.name}" + (f"@{self.branch}" if self.branch != "main" else "")


@dataclass(frozen=True)
class _Seen:
    """What a repository holds: its newest commit, its files, and the mark of an earlier export, {} without one."""

    commit: str
    files: frozenset[str]
    mark: dict[str, Any]


def repository_of(text: str) -> Repository | None:
    """The repository that `hf://datasets/NAME/SET[@BRANCH]` names; None for what is no link to the hub.

    Raises UsageError for another link to the hub.
    """
    if not re.match(r"hf:/", text, re.IGNORECASE):
        return None
    found = LINK.fullmatch(text)
    if found is None:
        raise UsageError(
            f"--out {text}: name a dataset repository as hf://datasets/NAME/SET, or hf://datasets/NAME/SET@BRANCH"
        )
    return Repository(found[1], found[2] or "main")


def export_to_hub(
    dataset: Dataset, wanted: Wanted, repository: Repository, console: Console, *, write_all: WriteAll | None = None
) -> dict[str, Any]:
    """Make the repository hold exactly what is wanted, by one commit; none if it does. The report, as `export` gives it.

    The export is made beside the dataset first, where whole shards need no space. A repository that is not there is made, private.
    Raises UsageError as `export`, without credentials, for a repository that holds something else, and if somebody else commits
    meanwhile; ResourceError if the hub does not answer. A file that has arrived is not sent again.
    """
    if wanted.format == "lance":
        raise UsageError(
            f"--to lance writes files of random names, which no repository keeps apart: export into a folder, and send that to {repository.link}"
        )
    with _worded(repository):
        seen = _look(repository)
    if seen.mark or seen.files - THE_HUBS_OWN:
        refuse_other(seen.mark, repository.link, dataset=dataset.name, form=form_of(wanted))
    with dataset.store.aside() as store, store.scratch() as scratch:
        report = export(dataset, replace(wanted, out=scratch / "export"), console, write_all=write_all)
        with _worded(repository):
            sent = _commit(repository, seen, scratch / "export", quiet=not console.is_terminal)
    return report | {"out": repository.link, "files_written": sent}


def _look(repository: Repository) -> _Seen:
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    api, name = HfApi(), repository.name
    try:
        info = api.dataset_info(name, revision=repository.branch)
    except RepositoryNotFoundError:
        api.create_repo(name, repo_type="dataset", private=True)
        info = api.dataset_info(name, revision=repository.branch)
    except RevisionNotFoundError:
        raise UsageError(
            f"--out {repository.link}: the repository has no branch {repository.branch}; make it there first"
        ) from None
    files = frozenset(one.rfilename for one in info.siblings or ())
    if MARK not in files:
        return _Seen(str(info.sha), files, {})
    held = hf_hub_download(name, MARK, repo_type="dataset", revision=info.sha)
    return _Seen(str(info.sha), files, mark_at(Path(held)))


def _commit(repository: Repository, seen: _Seen, folder: Path, *, quiet: bool) -> int:
    """Bring the repository from what was seen to what was made; the number of files sent."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.utils.tqdm import disable_progress_bars

    made = mark_at(folder / MARK)
    if made == seen.mark and made["files"].keys() <= seen.files:
        return 0
    if quiet:
        disable_progress_bars()
    before = seen.mark.get("files", {})
    new = sorted(
        name for name, identity in made["files"].items() if before.get(name) != identity or name not in seen.files
    )
    gone = sorted(before.keys() & seen.files - made["files"].keys())
    HfApi().create_commit(
        repo_id=repository.name,
        repo_type="dataset",
        revision=repository.branch,
        parent_commit=seen.commit,
        commit_message=f"hdvg {VERSION}: {len(new)} files written, {len(gone)} removed",
        operations=[
            *(CommitOperationDelete(path_in_repo=name) for name in gone),
            *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in (*new, MARK)),
        ],
    )
    return len(new)


@contextmanager
def _worded(repository: Repository) -> Iterator[None]:
    """What the hub's client raises, as what it means."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except (HfHubHTTPError, httpx2.HTTPError, RuntimeError) as raised:
        error = raised.__cause__ or raised if type(raised) is RuntimeError else raised  # of several files sent at once
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
        if status in {401, 403}:
            raise UsageError(
                f"--out {repository.link}: the hub refuses this machine's token ({status}): {CREDENTIALS}"
            ) from None
        if status == 412:
            raise UsageError(
                f"--out {repository.link}: somebody else has committed to it meanwhile, and nothing was changed; run the same command again"
            ) from None
        raise ResourceError(
            f"--out {repository.link}: the hub does not take it now ({first_line(error)}); run the same command again"
        ) from None

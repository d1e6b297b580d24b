"""A dataset folder: created by a plan, fed with lists of links, cut into units of work."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import duckdb

from hdvg.config.recipe import Recipe
from hdvg.dataset import ledger
from hdvg.dataset.damage import foreign, naming
from hdvg.dataset.far import MARK
from hdvg.dataset.kept_views import keep_answers
from hdvg.dataset.layout import SEED, Look, list_name, seed_name
from hdvg.dataset.manifest import Manifest, views_sql
from hdvg.dataset.named import named_sql
from hdvg.dataset.plan import Plan, read_plan
from hdvg.dataset.plugins import locate
from hdvg.dataset.stages import SHARD, part_schema
from hdvg.dataset.store import Store
from hdvg.errors import DamagedError, UsageError
from hdvg.plugins import FOLDER
from schemas.inputs import INPUTS
from schemas.rejected import REJECTED


class Dataset:
    """The folder `root` with its plan; reading needs no lock, changing it does (`store.lock`)."""

    def __init__(self, root: Path, plan: Plan, store: Store | None = None) -> None:
        self.root = root
        self.plan = plan
        self.store = store or Store(root)

    @classmethod
    def open(cls, root: str | Path, *, run: str = "none") -> Dataset:
        """The dataset at `root`, to read, or to write as part of a run. Raises UsageError if there is none."""
        root = Path(root).resolve()
        path = root / "dataset.toml"
        if not path.is_file():
            if ledger.is_there(root):
                raise DamagedError(f"{path} is gone; `hdvg verify --repair {root}` writes it anew")
            raise UsageError(
                f"{root} is no dataset (no dataset.toml); make one: hdvg run demo --links links.txt --out {root.name}"
            )
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise DamagedError(
                f"{path} is not text ({error.reason} at byte {error.start}); `hdvg verify --repair {root}` writes it anew"
            ) from error
        return cls(root, read_plan(text, where=str(path)), Store(root, run=run))

    @property
    def name(self) -> str:
        """That of its folder, in a bucket too."""
        return self.root.name if self.store.far is None else self.store.far.link.rstrip("/").rpartition("/")[2]

    @property
    def place(self) -> str:
        """How a user names it: the path of its folder, or its link."""
        return str(self.root) if self.store.far is None else self.store.far.link.rstrip("/")

    @property
    def recipe(self) -> Recipe:
        """The plan's recipe, with the plug-ins that the folder keeps named by their full paths: for what loads them."""
        return locate(self.plan.recipe, self.root)

    def prepare(self) -> None:
        """Write the empty seed parts, the plan and the views; under the run lock.

        Raises UsageError, with the plan and the views as they were, if the new plan cannot be read back.
        """
        self.publish_seeds()
        text, path = self.plan.to_toml(), self.root / "dataset.toml"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            self.read_back()
            if ledger.is_there(self.root) or not path.exists():
                ledger.note(self.store, coming=text)
            self.store.replace("dataset.toml", text)
        self.write_views()

    def publish_seeds(self) -> None:
        """Publish a file without rows of each kind, for views to read; under the run lock."""
        self.store.publish_table(list_name(0, SEED), INPUTS.empty_table())
        self.store.publish_table(f"rejected/{SEED}.parquet", REJECTED.empty_table())
        for stage in (SHARD, *self.plan.known_stages):
            seed = seed_name(stage, self.plan.fingerprints.get(stage))
            self.store.publish_table(seed, part_schema(stage).empty_table())

    def read_back(self) -> None:
        """Raise UsageError unless the plan, read again from its own text, gives a verdict on every clip; seeds are needed."""
        plan = read_plan(self.plan.to_toml(), where=f"the new settings of {self.root}")
        try:
            with Manifest(self.root, plan) as manifest:
                manifest.one("select count(*) from clip_rows where len(reasons) = 0")
        except duckdb.Error as error:
            raise UsageError(
                f"{self.root}: by the new settings its clips cannot be judged: {error}\n"
                "dataset.toml stays as it was; change the rule that is named, or see `hdvg verify`"
            ) from error

    def write_views(self, store: Store | None = None) -> None:
        """Write the views for people, as they are now; with another `store` than the run's, without its lock."""
        (store or self.store).replace("manifest.sql", views_sql(self.plan, self.root, relative=True))

    def manifest(self, *, unit: str | None = None, without: Collection[Path] = (), live: bool = False) -> Manifest:
        """The dataset's views, or one unit's.

        Of a small dataset the first query that needs a file reads it for all; `live`: each query reads what is there then.

        Files `without`, and parts that hdvg did not write here, are left out of the views of all units.
        """
        look = Look(self.root)
        if unit is None and not self.store.is_locked():  # a run has set them aside
            without = {*without, *foreign(self.root, look)}
        return Manifest(self.root, self.plan, unit=unit, without=without, live=live, look=look)

    def compact(self) -> int:
        """Keep the answers of the views, so that look-ups read no parts; no run lock is needed. Returns how many were written."""
        with naming(self.root), self.manifest(live=True) as manifest, self.store.aside() as store:
            named = named_sql(Look(self.root))
            manifest.connection.execute(named)
            return keep_answers(self.root, manifest.connection, named + manifest.sql, store)


def folder_problem(root: Path) -> str | None:
    """Why `root` cannot become a dataset, or None if it can: it must be new, empty, or a dataset already."""
    if "\\" in str(root.absolute()):
        return f"{root}: DuckDB takes a backslash in a path for a slash"
    if not root.exists() or (root / "dataset.toml").exists() or (root / MARK).exists():
        return None
    if not root.is_dir():
        return f"{root} is a file"
    own = {"tmp", "inputs", "rejected", "parts", "run.lock", "run.lease", FOLDER, ledger.NAME}
    strangers = sorted(path.name for path in root.iterdir() if path.name not in own)
    return f"{root} holds other files ({', '.join(strangers[:3])})" if strangers else None

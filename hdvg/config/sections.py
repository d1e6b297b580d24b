"""The sections of a recipe: frozen, typed settings of each stage, with their defaults and ranges."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from hdvg.config.asked import Asker, Quality, Question, check_free, of_quality, of_question
from hdvg.config.own_measures import PREVIEW, Declaration, Own, Taken, note_classes, of_class
from hdvg.config.rules import Columns
from hdvg.config.settings import Settings, Share
from hdvg.registry import ClassName
from schemas.pass_measures import PASS

RATIO = re.compile(r"([1-9]\d{0,4}):([1-9]\d{0,4})")
DETECTOR = ClassName("hdvg.shots:DETECTOR")


class Split(Settings):
    """How a video is decoded, split into shots and measured: the one pass."""

    detector: Annotated[str, DETECTOR] = Field(
        "adaptive",
        description="PySceneDetect's adaptive, content, histogram or hash; transnetv2, the network; cascade, of both; "
        "pyscenedetect-0.6.1, adaptive as it made HD-VG-130M; or your own: file.py:Class, package.module:Class",
    )
    adaptive_threshold: float = Field(3.0, gt=0, description="adaptive: score over the mean of its neighbours")
    min_content_val: float = Field(15.0, ge=0, description="adaptive: least score of a cut")
    window_frames: int = Field(2, ge=1, description="adaptive: neighbours on each side")
    content_threshold: float = Field(27.0, gt=0, description="content: least score of a cut")
    histogram_threshold: Share = Field(0.2, description="histogram: least difference of luma histograms")
    hash_threshold: Share = Field(0.35, description="hash: least share of the perceptual hash's bits that differ")
    network_threshold: Share = Field(0.5, description="transnetv2 and cascade: least probability of a transition")
    min_scene_frames: int = Field(15, ge=0, description="least frames between two cuts, for PySceneDetect's detectors")
    min_scene_s: float = Field(
        1.0,
        ge=0,
        description="the same in seconds, where these are fewer frames: under 15 frames a second; "
        "not for pyscenedetect-0.6.1",
    )
    guard_frames: int = Field(
        1, ge=0, le=5, description="frames left out on both sides of a fade or dissolve, beside its own"
    )
    stitch_levels: float = Field(
        0.0, ge=0, description="shots are joined again if pictures around their cut differ less, 0-255; 0 is never"
    )
    stitch_s: float = Field(
        0.4, ge=0, description="how far behind a cut a picture may match the one before it, seconds"
    )
    given: Literal["published", "exact", "ignore"] = Field(
        "published",
        description="scenes that a published set gives are the clips: counted in frames of the parents that its own "
        "script cuts, or from the parents' exact starts; or shots are detected all the same",
    )
    max_clip_s: float | None = Field(
        None, gt=0, description="longer shots are divided into clips of at most this length"
    )
    divide: Literal["even", "still"] = Field(
        "even", description="long shots are divided evenly, or where the picture moves least"
    )
    segment_s: float = Field(
        300, gt=0, description="videos over twice this length are decoded in segments, side by side where there is room"
    )
    max_error_share: Share = Field(
        0.01, description="a video is corrupt if more of its packets do not decode, or give frames marked as corrupt"
    )
    min_whole_share: Share = Field(
        0.9, description="a video is truncated if less decodes of what its container's index promises"
    )
    analysis_width_px: int = Field(
        256, ge=64, le=1024, description="width of the frames that detectors and measures see"
    )
    keyframe_px: int = Field(768, ge=64, description="long side of the stored keyframes")
    keyframe_quality: int = Field(90, ge=1, le=100, description="JPEG quality of the stored keyframes")

    @field_validator("detector")
    @classmethod
    def _is_detector(cls, detector: str) -> str:
        if problem := DETECTOR.load().problem(detector):
            raise ValueError(problem)
        return detector


def ratio(aspect: str) -> float:
    """Width / height of an aspect such as 16:9. Raises ValueError for what is none."""
    if not (found := RATIO.fullmatch(aspect)):
        raise ValueError(f"measure.clean_aspects: {aspect!r} is no aspect; width:height in whole numbers, such as 16:9")
    return int(found[1]) / int(found[2])


class Measure(Settings):
    """What is measured of clips beside the numbers of the pass: what rules need, and what stands here."""

    own: dict[str, Own] = Field(
        default_factory=dict,
        description="measures of your own, by name: vignette = 'vignette.py:Vignette' (docs/extending.md)",
    )
    asker: Asker = Asker()
    ask: dict[str, Question] = Field(
        default_factory=dict, description="questions as measures, by name, put to `measure.asker` (docs/measures.md)"
    )
    quality: dict[str, Quality] = Field(
        default_factory=dict, description="models of quality as measures, by name (docs/measures.md)"
    )
    alone: dict[str, int] = Field(
        default_factory=dict,
        description="noted by `hdvg measure`: measures of the pass that came later, or in a newer version, and are taken alone",
    )
    also: tuple[str, ...] = Field((), description="measures to take though no rule needs them, such as semantics")
    all: bool = Field(False, description="measure every clip, also those that a rule has dropped already")
    preview: bool = Field(
        False, description="keep small frames of clips too, 2 a second, for people to look at (docs/see.md)"
    )
    text_side_px: int = Field(640, ge=64, le=2048, description="long side at which the text detector sees keyframes")
    text_min_score: Share = Field(0.7, description="least mean probability of a line of text, 0-1")
    text_max_softness_px: float = Field(
        2.0, gt=0, description="widest edge of a line of text in the detector's map, px; softer ones are no text"
    )
    read_min_confidence: Share = Field(
        0.75, description="least mean probability of a line's characters, for the measure `written`, 0-1"
    )
    clean_aspects: tuple[str, ...] = Field(
        (), description="aspects that the rectangle of `clean_area` may have, such as 16:9 and 1:1; none: any"
    )
    semantics_path: str | None = Field(
        None,
        description="folder of a CLIP-like model in transformers' layout; None is the shipped classifier and MiniLM",
    )
    topics: str | None = Field(None, description="file with a topic a line: `semantics` gives the nearest and how near")
    aesthetic_path: str | None = Field(None, description="folder of a CLIP model, for the measure `aesthetic`")
    aesthetic_head: str | None = Field(
        None, description="file of the head, .safetensors or .pth: one linear layer, or LAION's MLP"
    )
    classifier_path: str | None = Field(
        None, description="folder of an image classifier in transformers' layout, for the measure `classifier`"
    )
    classifier_label: str | None = Field(None, description="the label whose probability is wanted")

    @field_validator("clean_aspects")
    @classmethod
    def _are_ratios(cls, aspects: tuple[str, ...]) -> tuple[str, ...]:
        for one in aspects:
            ratio(one)
        return aspects

    @field_validator("own", mode="before")
    @classmethod
    def _note_classes(cls, own: Any) -> Any:
        return note_classes(own) if isinstance(own, dict) else own

    @field_validator("alone")
    @classmethod
    def _are_of_the_pass(cls, alone: dict[str, int]) -> dict[str, int]:
        if unknown := set(alone) - set(PASS):
            raise ValueError(f"measure.alone: {min(unknown)!r} is no measure of the pass; there are: {', '.join(PASS)}")
        return alone

    @model_validator(mode="after")
    def _have_names(self) -> Self:
        tables: dict[str, dict[str, Any]] = {"own": self.own, "ask": self.ask, "quality": self.quality}
        places = [f"measure.{section}.{name}" for section, table in tables.items() for name in table]
        kept: list[tuple[str, str, Declaration]] = (
            [("measure.preview", PREVIEW, {PREVIEW: ("series", "")})] if self.preview else []
        )
        check_free([*kept, *((place, one.name, one.columns) for place, one in zip(places, self._own, strict=True))])
        return self

    @model_validator(mode="after")
    def _have_frames(self) -> Self:
        for section, table in (("ask", self.ask), ("quality", self.quality)):
            for name, one in table.items():
                if (self.asker.frames if one.frames is None else one.frames) and not self.preview:
                    raise ValueError(
                        f"measure.{section}.{name}: frames are those of the previews, which are not kept: set measure.preview = true"
                    )
        return self

    @property
    def _own(self) -> list[Taken]:
        """The measures of the user's own: classes, questions, models of quality."""
        return [
            *(of_class(name, one) for name, one in self.own.items()),
            *(of_question(name, one, self.asker) for name, one in self.ask.items()),
            *(of_quality(name, one, self.asker) for name, one in self.quality.items()),
        ]

    @property
    def taken(self) -> tuple[Taken, ...]:
        """What is taken alone: measures of the pass, then the user's own, then previews."""
        of_pass = (Taken.of_pass(name, version) for name, version in self.alone.items())
        return (*of_pass, *self._own, *([Taken.of_preview()] if self.preview else []))

    @property
    def columns(self) -> Columns:
        """What rules may name."""
        return Columns(tuple(column for one in self.taken for column in one.judged()))


class Shard(Settings):
    """How the product is packed."""

    split: str = Field("train", pattern=r"^[a-z0-9_]+$", description="name of the split, in the file names")
    max_mb: float = Field(512, gt=0, description="largest sum of clip bytes in a shard")
    row_group_mb: float = Field(32, gt=0, le=64, description="largest sum of clip bytes in a row group")
    seed: int = Field(0, description="shuffles clips within each accepted list")


class Storage(Settings):
    """What stays on disk."""

    keep_sources: bool = Field(
        True, description="keep source videos after the cut; else they are fetched again when needed"
    )
    clips: Literal["files", "packs"] = Field(
        "files",
        description="clips that are cut from now on: a file each, or packs: one file for all of a video, for large sets",
    )


class Limits(Settings):
    """What one decode, cut or probe child may use."""

    wall_s: float = Field(3600, gt=0, description="longest time of one child process, seconds on the clock")
    memory_mb: int = Field(4096, ge=512, description="largest address space of one child process")
    file_mb: float = Field(8192, gt=0, description="largest file that one child process may write")
    scratch_mb: float = Field(16384, gt=0, description="most that one child process may add to its scratch folder")
    max_pixels: int = Field(36_000_000, gt=0, description="largest coded picture")
    max_frames: int = Field(4_000_000, gt=0, description="most frames of one video: 18 hours at 60 a second")
    max_decoded_gb: float = Field(200_000, gt=0, description="most bytes of one video's pictures, decoded")
    sandbox: Literal["auto", "require", "off"] = Field(
        "auto",
        description="the kernel's walls around children that open strangers' files: auto puts up those that the machine has, "
        "require refuses one that lacks any, off puts up none; the environment's HDVG_SANDBOX wins",
    )

    def of_children(self) -> dict[str, Any]:
        """The fields of `hdvg.sandbox.Limits`."""
        return self.model_dump(exclude={"max_pixels", "max_frames", "max_decoded_gb"})


class Run(Settings):
    """Resources of the stages; no effect on results."""

    runner: Literal["ray", "local", "serial"] = Field(
        "ray",
        description="ray: a cluster, or this machine; local: this machine's cores, one process with each model; "
        "serial: one job at a time, for debugging",
    )
    download_workers: int = Field(0, ge=0, description="units downloaded at once; 0 is two on every node")
    decode_threads: int = Field(
        4, ge=1, description="most threads of one decode: it gets fewer where other jobs keep the cores busy"
    )
    measure_workers: int = Field(
        0, ge=0, description="most processes of one keyframe measure; 0 is one for every two cores"
    )
    caption_workers: int = Field(
        0,
        ge=0,
        description="most processes of one captioner; 0 is one for every GPU, or without GPUs one on every node",
    )
    caption_gpus: float = Field(0.5, ge=0, description="GPUs of one captioner process, if the cluster has any")
    measure_gpus: float = Field(0.1, ge=0, description="GPUs of one process of a keyframe measure with a network")

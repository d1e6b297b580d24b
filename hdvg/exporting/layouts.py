"""What each trainer reads: how clips and texts are named, what its index holds, how many frames it takes. A table, no code.

Below a folder for each split lie the clips, byte for byte as they were cut, and what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PATH = "videos/{clip_id}.mp4"


@dataclass(frozen=True)
class Layout:
    """How one trainer wants clips; `source` says where that is documented.

    `clip` and `text` are names of files below the split's folder; "" is no such file. `index` has the names of its files there
    -> what they hold, a select list over the columns of the shards, `path` (the clip's file, from the split's folder), `name`
    (without folder) and `frames`. A file's ending is its form: csv, jsonl, json (a list), parquet, or txt (a line a clip).
    The trainer takes `step` * n + 1 frames of a clip; 0: as many as it is told.
    """

    source: str
    clip: str = PATH
    text: str = ""
    index: Mapping[str, str] = field(default_factory=dict)
    step: int = 0


LAYOUTS: dict[str, Layout] = {
    # A path that is not absolute is looked for beside the JSONL; HunyuanVideo, Wan and FramePack trim to 4n+1.
    "musubi-tuner": Layout(
        "github.com/kohya-ss/musubi-tuner docs/dataset_config.md, `video_jsonl_file`",
        index={"metadata.jsonl": "path as video_path, caption"},
        step=4,
    ),
    # It lists one folder, not those below it, and takes every file for a clip but .txt, .json and a few others. A clip goes
    # to the longest of `frame_buckets` that it fills; one that fills none is dropped.
    "diffusion-pipe": Layout(
        "github.com/tdrussell/diffusion-pipe examples/dataset.toml and utils/dataset.py, `[[directory]] path`",
        clip="{clip_id}.mp4",
        text="{clip_id}.txt",
        step=4,
    ),
    # `LoadVideo` takes `num_frames`, of a shorter clip the most that are 4n+1.
    "diffsynth": Layout(
        "github.com/modelscope/DiffSynth-Studio docs/en/API_Reference/core/data.md, `--dataset_metadata_path`",
        index={"metadata.csv": "path as video, caption as prompt"},
        step=4,
    ),
    # Of a clip that fills none of `video_resolution_buckets` it takes the first frame alone. Its models of LTX want 8n+1.
    "finetrainers": Layout(
        "github.com/a-r-r-o-w/finetrainers docs/dataset/README.md, two file format",
        index={"videos.txt": "path", "prompts.txt": "caption"},
        step=4,
    ),
    # Clips that do not fill the shortest bucket are skipped.
    "ltx-trainer": Layout(
        "github.com/Lightricks/LTX-Video-Trainer README.md, single metadata file, and scripts/process_videos.py",
        index={"dataset.json": "caption, path as media_path"},
        step=8,
    ),
    # `path` is below videos/; resolution, fps and duration are of the older form of the file.
    "fastvideo": Layout(
        "github.com/hao-ai-lab/FastVideo docs/training/data_preprocess.md, merged dataset",
        index={
            "videos2caption.json": "name as path, {'width': clip_width, 'height': clip_height} as resolution, "
            "fps, duration_s as duration, caption as cap"
        },
        step=4,
    ),
    # Its loader reads the first two columns. Scores of theirs that we do not measure are left empty.
    "openvid": Layout(
        "github.com/NJU-PCALab/OpenVid-1M openvid/datasets/datasets.py, and the header of the published OpenVid-1M.csv",
        index={
            "OpenVid.csv": 'path as video, caption, aesthetic as "aesthetic score", null as "motion score", '
            'null as "temporal consistency score", null as "camera motion", frames as frame, fps, duration_s as seconds'
        },
    ),
    # Clips lie at videos/<page_dir>/<videoid>.mp4; several may share a `contentUrl`, the video that they were cut from.
    "webvid": Layout(
        "github.com/m-bain/webvid download.py, and the header of the published results_2M_train.csv",
        clip="videos/clips/{clip_id}.mp4",
        index={
            "results.csv": 'clip_id as videoid, source as "contentUrl", '
            "strftime(timestamp '1970-01-01' + to_seconds(round(duration_s)), 'PT%HH%MM%SS') as duration, "
            "'clips' as page_dir, caption as name"
        },
    ),
    # The hub takes at most 10,000 files in a folder, hence the folders of two digits.
    "videofolder": Layout(
        "huggingface.co/docs/datasets/video_dataset, metadata.parquet",
        clip="videos/{two}/{clip_id}.mp4",
        index={
            "metadata.parquet": "path as file_name, "
            "* exclude (video, shard, row, split, path, name, frames, filename, file_row_number)"
        },
    ),
}
"""Format of `hdvg export --to` -> what it lays out."""

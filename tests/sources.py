"""Small videos in every container that can be taken apart, made once by FFmpeg: 36 s, key frames at uneven distances, B-frames, sound."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
SECONDS = 36
DRAWN = ("-f", "lavfi", "-i", f"testsrc2=size=192x108:rate=25:duration={SECONDS}")
SOUND = ("-f", "lavfi", "-i", f"sine=frequency=440:duration={SECONDS}")
CLOSED = ("-c:v", "libx264", "-preset", "veryfast", "-x264-params", "keyint=60:min-keyint=8:bframes=3")
OPEN = (*CLOSED[:-1], "open-gop=1:keyint=24:min-keyint=8:bframes=3:scenecut=0", "-forced-idr", "1")
UNEVEN = ("-force_key_frames", "3.4,7.96,8.6,13,17.4,18,25.1,31")
CBR = ("-b:v", "300k")
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=60:open-gop=1:bframes=3:log-level=none")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "50", "-b:v", "300k")
AAC, OPUS = ("-c:a", "aac", "-b:a", "64k"), ("-c:a", "libopus", "-b:a", "48k")
DASH = ("-movflags", "+dash+global_sidx+frag_keyframe")
HLS = ("-f", "hls", "-hls_time", "2", "-hls_list_size", "0", "-hls_playlist_type", "vod")


@dataclass(frozen=True)
class Recipe:
    """What FFmpeg is told, and the file that is to be fetched."""

    name: str
    options: tuple[str, ...]


SOURCES = {
    "MP4, moov first": Recipe("first.mp4", (*CLOSED, *UNEVEN, *AAC, "-movflags", "+faststart")),
    "MP4, moov last, open GOP": Recipe("last.mp4", (*OPEN, *UNEVEN, *AAC)),
    "MP4, HEVC, open GOP": Recipe("hevc.mp4", (*HEVC, *UNEVEN, *AAC, "-movflags", "+faststart")),
    "MOV without sound": Recipe("silent.mov", (*CLOSED, *UNEVEN, "-an")),
    "MP4 in fragments": Recipe("fragments.mp4", (*CLOSED, *UNEVEN, *AAC, *DASH)),
    "WebM": Recipe("cues.webm", (*VP9, *UNEVEN, *OPUS)),
    "HLS of MPEG-TS": Recipe("ts/list.m3u8", (*CLOSED, *UNEVEN, *AAC, *HLS)),
    "HLS of MP4": Recipe("cmaf/list.m3u8", (*CLOSED, *UNEVEN, *AAC, *HLS, "-hls_segment_type", "fmp4")),
    "DASH": Recipe(
        "dash/list.mpd", (*CLOSED, *UNEVEN, *CBR, "-an", "-f", "dash", "-seg_duration", "2", "-use_timeline", "1")
    ),
}

EACH = Recipe("each.mp4", (*CLOSED, "-an", "-movflags", "+dash+frag_keyframe"))
"""An index (`sidx`) of each fragment, and none of all."""


def make(recipe: Recipe, folder: Path) -> Path:
    """Make the source in `folder`, if it is not there."""
    path = folder / recipe.name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        command = [FFMPEG, "-loglevel", "error", *DRAWN, *SOUND, "-pix_fmt", "yuv420p", *recipe.options, path.name]
        subprocess.run(command, check=True, cwd=path.parent)
    return path

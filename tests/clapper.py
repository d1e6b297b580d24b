"""Clapperboards: films whose picture flashes when their sound beeps, as separate files and as streams for servers."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
CLAPS_S = (1.0, 2.4, 4.2)
"""When it flashes and beeps, on the clock that both share; each for 0.2 s."""

WHITE = 128
LOUD = 0.2
ENDS_S = 6
VIDEO = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-bf", "2", "-pix_fmt", "yuv420p")
SOUND = ("-c:a", "aac", "-b:a", "64k")


def film(target: Path, *options: str, video_from_s: float = 0.0, sound_from_s: float = 0.0) -> None:
    """Make a film with the real ffmpeg; `options` are those of the output. Both tracks run on one clock, each from its start."""
    clap(target, CLAPS_S, CLAPS_S, *options, ends_s=ENDS_S, from_s=(video_from_s, sound_from_s))


def clap(
    target: Path,
    seen_s: Sequence[float],
    heard_s: Sequence[float],
    *options: str,
    ends_s: float,
    from_s: tuple[float, float] = (0.0, 0.0),
) -> None:
    """The same with flashes at `seen_s` and beeps at `heard_s`; `from_s`: when picture and sound start."""
    flashes, beeps = ("+".join(f"between(t,{at},{at + 0.199})" for at in times) or "0" for times in (seen_s, heard_s))
    picture = f"color=black:s=160x120:r=25:d={ends_s},drawbox=c=white:t=fill:enable='{flashes}',trim=start={from_s[0]}"
    voice = f"aevalsrc='0.6*sin(2*PI*1000*t)*({beeps})':s=48000:d={ends_s},atrim=start={from_s[1]}"
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", voice]
    command = [FFMPEG, "-v", "error", "-y", *inputs, "-copyts", *options, str(target)]
    subprocess.run(command, check=True, cwd=target.parent)


def claps(path: Path) -> tuple[list[float], list[float]]:
    """When a file's picture turns white, and when its sound gets loud, in seconds of the file's clock; none without a sound."""
    flashes, beeps = [], []
    with av.open(str(path)) as container:
        white = False
        for frame in container.decode(video=0):
            now = frame.to_ndarray(format="gray").mean() > WHITE
            if now and not white:
                flashes.append(float(frame.pts * frame.time_base))
            white = now
    with av.open(str(path)) as container:
        quiet_since = -1.0
        for frame in container.decode(audio=0) if container.streams.audio else ():
            wave = np.abs(frame.to_ndarray().astype(np.float64)).max(axis=0)
            for at in float(frame.pts * frame.time_base) + np.flatnonzero(wave > LOUD) / frame.sample_rate:
                if at - quiet_since > 0.1:
                    beeps.append(float(at))
                quiet_since = at
    return flashes, beeps

"""Clapperboards: films whose picture flashes when their sound beeps, as separate files and as streams for servers."""

from __future__ import annotations

import subprocess
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
    claps = "+".join(f"between(t,{at},{at + 0.199})" for at in CLAPS_S)
    picture = f"color=black:s=160x120:r=25:d={ENDS_S},drawbox=c=white:t=fill:enable='{claps}',trim=start={video_from_s}"
    voice = f"aevalsrc='0.6*sin(2*PI*1000*t)*({claps})':s=48000:d={ENDS_S},atrim=start={sound_from_s}"
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

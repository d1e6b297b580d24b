"""The section `[fetch]` of a recipe: how videos are fetched, with defaults and ranges."""

from __future__ import annotations

import os
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from hdvg.config.addresses import check_bind, check_headers, open_proxy_address
from hdvg.config.settings import Settings

LANGUAGE = r"^(\*|[a-z]{2,3}(-[A-Za-z0-9]{2,8})*)$"

PRIVATE = "HDVG_PRIVATE_LINKS"
"""A variable of the environment: `allow` where all lists are of one's own making, as in the tests of hdvg."""


def _private_links() -> Literal["allow", "refuse"]:
    return "allow" if os.environ.get(PRIVATE) == "allow" else "refuse"


class HostSettings(Settings):
    """What differs for one host; None: as for all others."""

    interval_s: float | None = Field(None, ge=0, description="least time between two starts on this host")
    concurrency: int | None = Field(None, ge=1, description="videos fetched at once from this host, over the whole run")
    headers: dict[str, str] = Field(default_factory=dict, description="headers of every request to this host")

    @field_validator("headers")
    @classmethod
    def _are_open(cls, headers: dict[str, str]) -> dict[str, str]:
        check_headers(headers)
        return headers


class Fetch(Settings):
    """How videos are fetched. What chooses among formats and `subtitles` shape what is fetched; the rest are limits."""

    min_height_px: int = Field(
        720, ge=1, description="preferred least height; the best below it is taken if there is none"
    )
    codec: str = Field("avc1", description="preferred video codec, as yt-dlp names it")
    codecs: tuple[Literal["av1", "vp9", "hevc", "avc", "vp8"], ...] = Field(
        (), description="video codecs in order of preference, instead of `codec`"
    )
    max_fps: float | None = Field(
        None, gt=0, description="preferred highest frame rate, among formats of the same height"
    )
    hdr: Literal["avoid", "allow", "prefer"] = Field(
        "allow", description="HDR among formats of the same height: avoided, no matter, or preferred"
    )
    sound: bool = Field(False, description="fetch the sound too where the source keeps it in a file of its own")
    subtitles: tuple[Annotated[str, Field(pattern=LANGUAGE)], ...] = Field(
        (),
        description="languages of subtitles to fetch, the best first, such as en or pt-BR; * is any, the video's own first",
    )
    automatic_subtitles: bool = Field(
        True, description="whether the site's own speech recognition is taken where nobody wrote subtitles"
    )
    max_mb: float = Field(4096, gt=0, description="largest file, enforced by the operating system")
    max_duration_s: float = Field(4 * 3600, gt=0, description="longest video, by what the source says")
    wall_s: float = Field(3600, gt=0, description="longest time one try may take")
    silence_s: float = Field(15, gt=0, description="longest time a server may say nothing")
    tries: int = Field(3, ge=1, le=10, description="tries within a run for failures that may pass")
    max_wait_s: float = Field(600, ge=0, description="longest pause taken on a server's word (Retry-After)")
    throttle_wait_s: float = Field(
        3600,
        ge=0,
        description="longest time that a fetch which a host throttles waits to be tried again within a run; 0 is not at all",
    )
    blocked_wait_s: float = Field(
        3600,
        ge=0,
        description="how long a host that refuses us (a wall against bots, or 20 refusals in a row) is left alone; "
        "each time that it refuses again twice as long, a day at most",
    )
    max_mb_s: float | None = Field(None, gt=0, description="most MB a second fetched, over the whole run")
    concurrency: int = Field(4, ge=1, description="videos fetched at once by one worker")
    per_host: int = Field(4, ge=1, description="videos fetched at once from one host, over the whole run")
    host_interval_s: float = Field(0.0, ge=0, description="least time between two starts on one host")
    js_runtime: Literal["auto", "deno", "node", "bun", "quickjs", "none"] = Field(
        "auto",
        description="what runs the scripts that some sites need: auto is deno; none leaves yt-dlp to what works without",
    )
    hosts: dict[str, HostSettings] = Field(
        default_factory=dict, description="settings of single hosts: of `example.org` for `www.example.org` as well"
    )
    private_links: Literal["allow", "refuse"] = Field(
        default_factory=_private_links,
        description="links whose host is a private address (loopback, LAN) or localhost are refused, or allowed "
        "(`--allow-private`) where servers of your own are meant; redirects into private networks are always refused",
    )
    sections: Literal["auto", "whole"] = Field(
        "whole",
        description="auto: of videos whose clips are given, only the bytes that show these, where the source has an index; "
        "such clips are named by link and span, not by the file's bytes",
    )
    block_list: Annotated[str, AfterValidator(os.path.abspath)] | None = Field(
        None, description="text file of hashes that must not be stored: sha256 of files, perceptual hashes of pictures"
    )
    block_distance: int = Field(
        6, ge=0, le=16, description="most of the 64 bits in which a picture may differ from a blocked one"
    )
    proxy: Annotated[str, AfterValidator(open_proxy_address)] | None = Field(
        None,
        description="address of your own proxy, by which all is fetched: http://, https://, socks5:// or socks5h://; the "
        "environment's HDVG_PROXY wins, and alone may hold a user and password",
    )
    ca_file: Annotated[str, AfterValidator(os.path.abspath)] | None = Field(
        None, description="PEM file of certificates that are trusted beside the usual ones"
    )
    ip_version: Literal["4", "6", "any"] = Field(
        "4", description="version of the internet protocol that is spoken: 4, 6, or whichever a host has"
    )
    bind_address: str | None = Field(
        None, description="address of this machine that connections leave from; of the version in `ip_version`"
    )

    @model_validator(mode="after")
    def _leaves_by_its_version(self) -> Fetch:
        if self.bind_address is not None:
            check_bind(self.bind_address, self.ip_version)
        return self

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, hosts: dict[str, HostSettings]) -> dict[str, HostSettings]:
        for name in hosts:
            if not re.fullmatch(r"([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:]+\])(:[0-9]+)?", name):
                raise ValueError(
                    f"fetch.hosts: `{name}` is no host; write its name alone, in small letters: example.org"
                )
        return hosts


def host_settings(fetch: Fetch, host: str) -> HostSettings:
    """What is set for a host, given with its port or without: by its own name, else by that of the nearest parent domain."""
    full = host.lower().rpartition("@")[2]
    name = re.sub(r":\d+$", "", full)
    names = [full, name, *(name.split(".", start)[-1] for start in range(1, name.count(".") + 1))]
    return next((fetch.hosts[name] for name in names if name in fetch.hosts), HostSettings())

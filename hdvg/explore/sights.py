"""What is looked at: what the dataset holds, one clip with its pictures and its file, the map, recipes; GETs that change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from hdvg.config.rules import Bound, Quantiles, Rule
from hdvg.environment import VERSION
from hdvg.errors import HdvgError, UsageError
from hdvg.explore import clip_page, drafts
from hdvg.explore.arrays import pack
from hdvg.explore.grid import MOST_ROWS, OF_FILES, place_of, take
from hdvg.explore.growing import Growing
from hdvg.explore.media_answers import GrowingAnswer, file_answer
from hdvg.explore.playable import CLIP_ID, PROXY_HEIGHT, first_line, whole
from hdvg.explore.sql import LIMIT_S, ROWS
from hdvg.explore.state import Explorer, State
from hdvg.reports.strips import strips_of

STRIPS = 24
WEBP = "image/webp"


class GoneError(UsageError):
    """No clip of this id is in the dataset, or not any more."""

    status = 410


class NoRouteError(UsageError):
    """What is asked for is no clip's name."""

    status = 404


class UnplayableError(UsageError):
    """There is a clip, but nothing of it can be shown."""

    status = 422


def meta(state: State, explorer: Explorer, request: Request) -> Any:
    """What the dataset holds and can be asked."""
    plan, sidecar = state.dataset.plan, state.sidecar
    return {
        "snapshot": state.snapshot,
        "name": state.dataset.name,
        "version": VERSION,
        "recipe": plan.recipe.name,
        "clips": len(sidecar.lengths_s),
        "hours": float(sidecar.lengths_s.sum()) / 3600,
        "author": explorer.author,
        "columns": [vars(column) for column in sidecar.columns.values()],
        "rules": [_rule(rule, plan.quantiles) for rule in plan.recipe.rules],
        "has": {
            "embeddings": state.likeness.known,
            "previews": True,
            "annotations": True,
        },
        "limits": {"rows": MOST_ROWS, "strips": STRIPS, "sql_s": LIMIT_S, "sql_rows": ROWS},
    }


def clip(state: State, explorer: Explorer, request: Request) -> Any:
    """All that is known of one clip."""
    row = _row(state, request.path_params["clip_id"])
    return clip_page.page(state, row)


def media(state: State, explorer: Explorer, request: Request) -> Response:
    """The clip's mp4, or with `as=h264` a small copy that every browser plays, which is sent while it is made."""
    row = _row(state, request.path_params["clip_id"])
    wanted, headers = request.query_params.get("as"), {}
    if wanted not in (None, "h264"):
        raise UsageError(f"as = {wanted[:40]!r}: h264, or leave it out")
    asked = request.headers.get("range")
    try:
        if wanted is None:
            held = state.files.clip(row)
        else:
            headers["x-hdvg-proxy"] = f"h264 {PROXY_HEIGHT}p"
            from_start = asked in (None, "bytes=0-") and request.method == "GET" and "whole" not in request.query_params
            found = state.files.proxy(row) if from_start else state.files.whole_proxy(row)
            if isinstance(found, Growing):
                return GrowingAnswer(found, state.files.leave, headers)
            held = whole(found)
    except HdvgError as error:
        raise UnplayableError(first_line(error)) from None
    return file_answer(held, kind="video/mp4", asked=asked, headers=headers)


def strips(state: State, explorer: Explorer, request: Request) -> bytes:
    """Strips of a few clips, and why others have none."""
    asked = [one for one in request.query_params.get("ids", "").split(",") if one]
    if not 0 < len(asked) <= STRIPS:
        raise UsageError(f"ids: 1 to {STRIPS} clip ids")
    places = {one: place_of(state, one) if CLIP_ID.fullmatch(one) else None for one in dict.fromkeys(asked)}
    held = [place for place in places.values() if place is not None]
    rows = take(state, held, ["clip_id", "keyframes"]).to_pylist()
    made = strips_of(state.dataset.store, {row["clip_id"]: row["keyframes"] for row in rows if row["keyframes"]})
    missing = {
        one: "no clip of this id is in the dataset" if place is None else "no pictures of it are kept"
        for one, place in places.items()
        if one not in made
    }
    return pack({"missing": missing}, made)


def strip(state: State, explorer: Explorer, request: Request) -> Response:
    """One strip."""
    row = _row(state, request.path_params["clip_id"])
    made = strips_of(state.dataset.store, {row["clip_id"]: row["keyframes"]} if row["keyframes"] else {})
    if row["clip_id"] not in made:
        raise UnplayableError("no pictures of it are kept")
    return Response(made[row["clip_id"]], media_type=WEBP)


def frame(state: State, explorer: Explorer, request: Request) -> Response:
    """One picture of a clip."""
    row = _row(state, request.path_params["clip_id"])
    number = request.path_params["number"]
    if number >= row["n_frames"]:
        raise UsageError(f"frame {number}: the clip has {row['n_frames']}")
    try:
        return Response(state.files.picture(row, number), media_type=WEBP)
    except HdvgError as error:
        raise UnplayableError(first_line(error)) from None


def map_(state: State, explorer: Explorer, request: Request) -> bytes:
    """The points of the map."""
    if not state.likeness.known:
        raise drafts.UnknownError("no clip has an embedding: the map needs the stage semantics")
    places, points = state.likeness.map
    share = len(places) / max(len(state.sidecar.lengths_s), 1)
    header = {"snapshot": state.snapshot, "clips": len(places), "share": share, "model": state.likeness.model}
    arrays: dict[str, NDArray[Any]] = {"x": points[:, 0], "y": points[:, 1], "place": places.astype(np.uint32)}
    return pack(header, arrays)


def recipes(state: State, explorer: Explorer, request: Request) -> Any:
    """Recipes that can be compared with."""
    return drafts.recipes(explorer.folder)


def recipe(state: State, explorer: Explorer, request: Request) -> Any:
    """The rules of one."""
    return drafts.rules_of(explorer.folder, request.path_params["name"])


def _row(state: State, clip_id: str) -> dict[str, Any]:
    """What the sidecar has of a clip. Raises NoRouteError for what is no id, GoneError if there is none."""
    if not CLIP_ID.fullmatch(clip_id):
        raise NoRouteError("no clip has such an id")
    place = place_of(state, clip_id)
    if place is None:
        raise GoneError(f"clip {clip_id} is not in the dataset, or not any more")
    found: dict[str, Any] = take(state, [place], ["clip_id", "video_id", *OF_FILES]).to_pylist()[0]
    return found


def _rule(rule: Rule, quantiles: Quantiles) -> Mapping[str, Any]:
    def end(bound: Bound | None) -> Any:
        return bound and {"value": bound.value(quantiles), "closed": bound.closed, "share": bound.share}

    return {"name": rule.name, "text": rule.text, "column": rule.column, "low": end(rule.low), "high": end(rule.high)}


LOOKS = {
    "/api/meta": meta,
    "/api/map": map_,
    "/api/clip/{clip_id}": clip,
    "/api/recipes": recipes,
    "/api/recipes/{name}": recipe,
    "/strips": strips,
    "/strip/{clip_id}": strip,
}
"""By route."""
SLOW_LOOKS = {"/media/{clip_id}": media, "/frame/{clip_id}/{number:int}": frame}
"""Those that may decode or cut."""

"""The routes of `hdvg explore`, as docs/explore-protocol.md has them: each reads its question, asks, and gives the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hdvg.errors import HdvgError, UsageError
from hdvg.explore import audits, questions, sights
from hdvg.explore.arrays import dumps
from hdvg.explore.guard import Guard, Keys
from hdvg.explore.masks import Asking, SupersededError
from hdvg.explore.state import Explorer, State

PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<title>hdvg {name}</title><link rel="stylesheet" href="/static/{name}.css">'
    '<script src="/static/{name}.js" defer></script></head><body><div id="app"></div>'
    "<noscript>This page needs JavaScript.</noscript></body></html>"
)
KINDS = {"js": "text/javascript", "css": "text/css", "txt": "text/plain"}
JSON = "application/json"
BYTES = "application/octet-stream"
SUPERSEDED = 499
SLOW_AT_ONCE = 8

Question = Callable[[State, Explorer, Mapping[str, Any], Asking], Any]


def make_app(explorer: Explorer, keys: Keys, hosts: frozenset[str]) -> ASGIApp:
    """The whole server, guarded."""
    posts, looks = questions.QUESTIONS | audits.QUESTIONS, sights.LOOKS | audits.LOOKS
    routes = [
        Route("/", _page),
        Route("/audit", _page),
        Route("/favicon.ico", _no_icon),
        Route("/static/{name}", _static),
        Route("/session", _session, methods=["POST"]),
        Route("/api/link", _link, methods=["POST"]),
        Route("/api/refresh", _refresh, methods=["POST"]),
        Route("/api/live", _live),
        Route("/metrics", _metrics),
        *(Route(path, _post(answer), methods=["POST"]) for path, answer in posts.items()),
        *(Route(path, _get(answer), methods=["GET"]) for path, answer in looks.items()),
        *(Route(path, _in_turn(_get(answer)), methods=["GET"]) for path, answer in sights.SLOW_LOOKS.items()),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _http_error, HdvgError: _error, 500: _fault})  # type: ignore[dict-item]  # handlers of narrower errors
    app.state.explorer, app.state.keys = explorer, keys
    return Guard(app, keys=keys, hosts=hosts)


def answered(content: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Bytes are arrays, a response is itself, all else JSON."""
    if isinstance(content, Response):
        return content
    if isinstance(content, bytes):
        return Response(content, status, headers, BYTES)
    return Response(dumps(content), status, headers, JSON)


def _post(answer: Question) -> Callable[[Request], Any]:
    async def route(request: Request) -> Response:
        body = await _body(request)
        state = _state(request)
        if isinstance(state, Response):
            return state
        explorer: Explorer = request.app.state.explorer
        channel = body.get("ask")
        with explorer.newest(channel if isinstance(channel, str) else None) as asking:
            content = await run_in_threadpool(answer, state, explorer, body, asking)
        return _signed(answered(content), state, explorer)

    return route


def _get(answer: Callable[[State, Explorer, Request], Any]) -> Callable[[Request], Any]:
    async def route(request: Request) -> Response:
        state = _state(request)
        if isinstance(state, Response):
            return state
        explorer: Explorer = request.app.state.explorer
        content = await run_in_threadpool(answer, state, explorer, request)
        return _signed(answered(content), state, explorer)

    return route


def _in_turn(route: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """What may take seconds, a few at a time, so that quick questions find a thread; whoever has left meanwhile loses the turn."""
    turns = anyio.CapacityLimiter(SLOW_AT_ONCE)

    async def waiting(request: Request) -> Response:
        async with turns:
            if await request.is_disconnected():
                return Response(status_code=SUPERSEDED)
            response: Response = await route(request)
            return response

    return waiting


def _state(request: Request) -> State | Response:
    """The state that is shown, or the answer that there is none yet."""
    explorer: Explorer = request.app.state.explorer
    state = explorer.shown()
    if state is not None:
        return state
    building = explorer.building
    if building.error:
        return answered({"building": False, "error": building.error}, status=503)
    return answered({"building": True, "doing": building.doing, "share": building.share}, status=503)


def _signed(response: Response, state: State, explorer: Explorer) -> Response:
    response.headers["x-hdvg-snapshot"] = state.snapshot
    if explorer.is_stale(state):
        response.headers["x-hdvg-stale"] = "1"
    return response


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise HTTPException(400, "the question is no JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "a question is a JSON object")
    return body


async def _page(request: Request) -> Response:
    name = request.url.path.strip("/") or "explore"
    return Response(PAGE.format(name=name), media_type="text/html")


async def _no_icon(request: Request) -> Response:
    return Response(status_code=204)


async def _static(request: Request) -> Response:
    from hdvg import web

    name = request.path_params["name"]
    try:
        content = web.built(name)
    except (KeyError, FileNotFoundError):
        raise HTTPException(404, f"no file {name[:80]!r}") from None
    return Response(content, media_type=KINDS.get(name.rpartition(".")[2], BYTES))


async def _session(request: Request) -> Response:
    token = (await _body(request)).get("token")
    keys: Keys = request.app.state.keys
    if not isinstance(token, str) or not keys.redeem(token):
        raise HTTPException(403, "this link was used before, or is of an earlier start: run `hdvg explore` again")
    return Response(status_code=204, headers={"set-cookie": keys.set_cookie()})


async def _link(request: Request) -> Response:
    await _body(request)
    return answered({"token": request.app.state.keys.token()})


async def _refresh(request: Request) -> Response:
    await _body(request)
    request.app.state.explorer.refresh()
    return answered({"building": True}, status=202)


async def _live(request: Request) -> Response:
    """Also while tables are made."""
    from hdvg.explore.live import state_of_run

    return await run_in_threadpool(state_of_run, request.app.state.explorer, request)


async def _metrics(request: Request) -> Response:
    from hdvg.explore.live import metrics

    if not request.app.state.keys.may_scrape(request.headers.get("authorization", "")):
        raise HTTPException(401, "Authorization: Bearer TOKEN, as `hdvg explore` printed it")
    text = await run_in_threadpool(metrics, request.app.state.explorer)
    return Response(text, media_type="text/plain; version=0.0.4")


async def _http_error(request: Request, error: HTTPException) -> Response:
    return answered({"error": error.detail}, status=error.status_code)


async def _fault(request: Request, error: Exception) -> Response:
    return answered({"error": "a fault of the server's own: the terminal has its words"}, status=500)


async def _error(request: Request, error: HdvgError) -> Response:
    status = SUPERSEDED if isinstance(error, SupersededError) else getattr(error, "status", None)
    if status is None:
        status = 400 if isinstance(error, UsageError) else 422
    return answered({"error": str(error)}, status=status)

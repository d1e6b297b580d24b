"""Debian's chromium, driven by playwright, without any network: pages are opened from files."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip

WAIT_S = 60.0

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="needs chromium (.ci/run installs it)"
)


WEB = Path(__file__).parents[1] / "hdvg" / "web" / "source"

AXE = """async () => {
    const found = await axe.run(document, { resultTypes: ['violations'] });
    return found.violations.map((one) => `${one.impact} ${one.id}: ${one.nodes.slice(0, 3).map((node) => node.target).join(', ')}`);
}"""


def axe_script(folder: Path) -> str:
    """axe-core, as package-lock.json pins it; installed into `folder` where the sources' own packages are not there."""
    path = Path("node_modules/axe-core/axe.min.js")
    if not (WEB / path).exists():
        if shutil.which("npm") is None and not os.environ.get("CI"):
            pytest.skip("needs axe-core: make web, or npm")
        for name in ("package.json", "package-lock.json"):
            shutil.copy(WEB / name, folder / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode and not os.environ.get("CI"):
            pytest.skip(f"needs the package registry of npm: {done.stderr[-200:]}")
        assert done.returncode == 0, done.stderr
        return (folder / path).read_text(encoding="utf-8")
    return (WEB / path).read_text(encoding="utf-8")


@contextmanager
def browser() -> Iterator[Any]:
    """A browser of playwright's synchronous interface."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


@contextmanager
def opened(browser: Any, path: Path, *, width: int = 1440, **how: Any) -> Iterator[Any]:
    """A page from a file; afterwards it must have asked for nothing but itself, and said nothing on the console."""
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **how)
    page = context.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (heard.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: heard.append(f"request: {request.url[:100]}"))
    page.goto(path.as_uri())
    end = time.monotonic() + WAIT_S
    while not page.evaluate(
        "globalThis.report?.ready()"
    ):  # wait_for_function would need eval, which no page of ours allows
        assert time.monotonic() < end, heard
        time.sleep(0.02)
    yield page
    assert [one for one in heard if not one.startswith(("request: data:", f"request: {path.as_uri()}"))] == []
    context.close()

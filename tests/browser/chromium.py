"""Chromium, what its pages must never do, and the accessibility checker that is put into them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hdvg import web

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ColorScheme, Page

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--enable-unsafe-swiftshader",
)  # fmt: skip
SOURCE = Path(web.__file__).parent / "source"
SERIOUS = {"serious", "critical"}


def find_chromium() -> str:
    """The program; skips the test where there is none, but in CI."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    (pytest.fail if os.environ.get("CI") else pytest.skip)("needs chromium (apt install chromium)")


@contextmanager
def started(*more: str) -> Iterator[Browser]:
    """A browser without a window, with `more` flags."""
    program = find_chromium()
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=[*FLAGS, *more])
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, with all that it said and asked."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """Errors of the console and of scripts, and dialogs."""
    words: list[str] = field(default_factory=list)
    """What else the console got."""
    requests: list[str] = field(default_factory=list)

    @property
    def foreign(self) -> list[str]:
        """Requests to elsewhere than this machine's loopback or the page itself."""
        own = ("http://127.0.0.1:", "http://localhost:", "file://", "blob:", "data:")
        return [url for url in self.requests if not url.startswith(own)]


def watch(page: Page) -> Watched:
    """Note what a page says and asks from now on."""
    watched = Watched(page)

    def said(message: Any) -> None:
        heard = watched.complaints if message.type == "error" else watched.words
        heard.append(message.text)

    def dialog(box: Any) -> None:
        watched.complaints.append(f"dialog: {box.message}")
        box.dismiss()

    page.on("console", said)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on("dialog", dialog)
    page.on("request", lambda request: watched.requests.append(request.url))
    return watched


def new_page(
    browser: Browser, *, width: int = 1440, height: int = 900, scheme: ColorScheme = "light", **more: Any
) -> Watched:
    """A page of its own, without cookies."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **more)
    context.set_default_timeout(60_000)
    return watch(context.new_page())


def until(page: Page, condition: str) -> None:
    """Until a condition in JavaScript holds; the page's policy forbids what Playwright's own waiting does."""
    for _ in range(1200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}")


def settle(page: Page) -> None:
    """Until nothing is asked any more, and the answers are drawn; questions wait for up to 150 ms."""
    quiet = 0
    while quiet < 5:
        page.wait_for_timeout(50)
        quiet = 0 if page.evaluate("document.documentElement.hasAttribute('data-asking')") else quiet + 1


def axe_script(folder: Path) -> str:
    """The text of axe-core, as the pages' package-lock.json pins it, installed below `folder` where it is not yet."""
    script = Path("node_modules/axe-core/axe.min.js")
    if (SOURCE / script).exists():
        return (SOURCE / script).read_text(encoding="utf-8")
    if shutil.which("npm") is None and not os.environ.get("CI"):
        pytest.skip("needs npm, for axe-core")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / name, folder)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode and not os.environ.get("CI"):
        pytest.skip("needs the package registry of npm, for axe-core")
    assert done.returncode == 0, done.stderr
    return (folder / script).read_text(encoding="utf-8")


def barriers(page: Page, axe: str) -> list[str]:
    """What axe finds that is serious, a line each: the rule, the first place, what is wrong there."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary'].splitlines()[-1].strip()}"
        for rule in found["violations"]
        if rule["impact"] in SERIOUS
        for node in rule["nodes"][:3]
    ]

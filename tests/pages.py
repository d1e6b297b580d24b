"""Debian's chromium, driven by playwright, without any network: pages are opened from files."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import started, watch

CHROMIUM = shutil.which("chromium")
WAIT_S = 60.0

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="needs chromium (.ci/run installs it)"
)


AXE = """async () => {
    const found = await axe.run(document, { resultTypes: ['violations'] });
    return found.violations.map((one) => `${one.impact} ${one.id}: ${one.nodes.slice(0, 3).map((node) => node.target).join(', ')}`);
}"""


@contextmanager
def browser() -> Iterator[Any]:
    """A browser of playwright's synchronous interface that reaches no host."""
    with started("--host-resolver-rules=MAP * ~NOTFOUND") as found:
        yield found


@contextmanager
def opened(browser: Any, path: Path, *, width: int = 1440, **how: Any) -> Iterator[Any]:
    """A page from a file; afterwards it must have asked for nothing but itself, and said nothing on the console."""
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **how)
    watched = watch(context.new_page())
    page = watched.page
    page.goto(path.as_uri())
    end = time.monotonic() + WAIT_S
    while not page.evaluate(
        "globalThis.report?.ready()"
    ):  # wait_for_function would need eval, which no page of ours allows
        assert time.monotonic() < end, (watched.complaints, watched.words)
        time.sleep(0.02)
    yield page
    assert (watched.complaints, watched.words) == ([], [])
    assert [url[:100] for url in watched.requests if not url.startswith(("data:", path.as_uri()))] == []
    context.close()

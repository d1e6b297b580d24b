"""Packages that a test file cannot do without: absent ones skip it on a laptop and fail it in CI."""

from __future__ import annotations

import importlib
import os

import pytest


def need(*packages: str) -> None:
    """Call it at the top of a test file."""
    for package in packages:
        if os.environ.get("CI"):
            importlib.import_module(package)
        else:
            pytest.importorskip(package)

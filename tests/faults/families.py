"""The families of faults, and how one is run: in a process of its own, or in this one."""

from __future__ import annotations

import argparse
import importlib
import traceback

from tests.faults.tally import Asked, Tally, scratch_folder

FAMILIES = {
    "crash": "a process that dies, or power that goes, before every file operation",
    "store": "a run into a bucket that dies before each operation on the store and the mirror",
    "kill": "SIGKILL of driver, fork server and children at random moments, and a restart at once",
    "refuse": "a disk, handles or memory that run short at every file operation",
    "bad": "broken media, lists, tables and texts, with limits of time and memory",
    "planted": "bugs put into a copy of the tree: each must be caught by its test",
    "escape": "ways out of the decoder's child",
    "fuzz": "our own parsers, guided by coverage where atheris is installed",
}
BY_NAME = {"soak": "kills in a run of 1,000 videos, and a cluster that loses a node"}
"""Families that a whole run leaves out: they take long."""


def run_family(family: str, asked: argparse.Namespace) -> Tally:
    """A family's tally; a family that breaks is a failure of its own."""
    tally = Tally()
    with scratch_folder(family) as scratch:
        try:
            module = importlib.import_module(f"tests.faults.{family}_faults")
            module.run(Asked(scratch, asked.seed, asked.slice, asked.only), tally)
        except Exception as error:
            traceback.print_exc()
            tally.fail(f"the family itself broke: {type(error).__name__}: {error}")
    tally.seconds = tally.spent()
    return tally

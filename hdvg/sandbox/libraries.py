"""What every limited child may read: the interpreter with its libraries, the code that is loaded, facts of the machine."""

from __future__ import annotations

import functools
import importlib.util
import mimetypes
import os
import site
import sys
import sysconfig
from pathlib import PurePath

from hdvg.plugins import read_reference

SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store", "/etc/ld.so.cache")
MACHINE = (
    *("/proc/self/cgroup", "/proc/self/maps"),  # its own: duckdb, and libraries that ask for the stack's size
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/sys/vm/overcommit_memory", "/sys/fs/cgroup"),
    *("/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/kernel/mm/transparent_hugepage"),
    *("/dev/urandom", "/dev/zero", "/etc/localtime", "/usr/share/zoneinfo"),
)
RESOLVER = ("resolv.conf", "hosts", "host.conf", "nsswitch.conf", "gai.conf", "services", "protocols", "networks")
CERTIFICATES = (
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/crypto-policies"),
    *("/usr/share/ca-certificates", "/usr/local/share/ca-certificates"),
)
OURS = ("hdvg", "schemas")
PACKAGES = ("site-packages", "dist-packages")


def places_of(reference: str) -> list[str]:
    """Where the code lies that `file.py:Class` or `package.module:Class` names; nowhere if it is neither."""
    found = read_reference(reference)
    if found is None:
        return []
    if found.is_file:
        return [str(found.path)]
    spec = importlib.util.find_spec(found.where.partition(".")[0])
    if spec is None:
        return []
    return [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.origin else [])]


@functools.cache
def readable(*, network: bool) -> tuple[str, ...]:
    """Paths, as things stand at the first call, which the server makes before it forks: what is loaded later is not among them."""
    found = (*_roots(), *_linked(), *MACHINE, *_loaded())
    return (*found, *_for_network()) if network else found


@functools.cache
def _roots() -> tuple[str, ...]:
    """Folders of libraries; not those of `sys.path` that are a project's or the current one, which hold anything."""
    named = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    packages = [*site.getsitepackages(), site.getusersitepackages(), *sys.path]
    named += [path for path in packages if PurePath(path).name in PACKAGES]
    named += [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path.startswith("/")]
    return tuple(dict.fromkeys((*SYSTEM, os.path.join(sys.base_prefix, "lib"), *named)))


def _linked() -> set[str]:
    """Where packages lie that their folder of libraries only links to, whole or file by file (`uv pip install --link-mode symlink`)."""
    found: set[str] = set()
    for root in _roots():
        if PurePath(root).name in PACKAGES and os.path.isdir(root):
            for entry in os.scandir(root):
                if entry.is_symlink():
                    found.add(os.path.realpath(entry.path))
                elif entry.is_dir():
                    first = next((one.path for one in os.scandir(entry.path) if one.is_symlink()), None)
                    found |= {os.path.dirname(os.path.realpath(first))} if first else set()
    return found


def _loaded() -> set[str]:
    """Packages and modules that were imported from elsewhere: a clone, a plug-in's file."""
    roots = tuple(os.path.join(root, "") for root in _roots())
    found: set[str] = set()
    for name, module in list(sys.modules.items()):
        if "." not in name:
            places = [*getattr(module, "__path__", ())] or [getattr(module, "__file__", None)]
            found |= {place for place in places if place and not place.startswith(roots)}
    beside = {os.path.dirname(place) for place in found if os.path.basename(place) == OURS[0]}
    return found | {os.path.join(place, name) for place in beside for name in OURS}


@functools.cache
def _for_network() -> tuple[str, ...]:
    import ssl

    known = ssl.get_default_verify_paths()
    places = (known.cafile, known.capath, known.openssl_cafile, known.openssl_capath)
    files = (*(f"/etc/{name}" for name in RESOLVER), *map(str, mimetypes.knownfiles), *CERTIFICATES)
    return (*files, *(place for place in places if place))

"""Lists on sites as sources of links: read flat, filtered by what they say, and no video asked for."""

from hdvg.registry import Registry

READERS: dict[str, str] = {
    "list": "hdvg.sources.lists.flat:read",
    "archive": "hdvg.sources.lists.archive_org:read",
    "commons": "hdvg.sources.lists.commons:read",
}
"""What reads a list -> a function as `readers.Reader`. A new one of ours is a line here and its spelling in `source`."""

READER = Registry(
    called="list", group="hdvg.sources", setting="--links", classes=READERS, methods=("read",), attributes=("site",)
)
"""Where readers are found. A plug-in is a class, made without arguments, with `site`, the address of its host, and a method
`read` as `readers.Reader`."""

"""Of a dataset in a bucket, a node that does not see the mirror is told what to do before it gets work."""

from __future__ import annotations

import json

from hdvg.dataset.far import MARK
from pipelines.node_check import _of_mirror
from pipelines.runners import Order


def test_a_node_without_the_mirror_is_told_to_share_it(tmp_path):
    order = Order(tmp_path, "run", (), {})
    assert _of_mirror(order) == []
    (tmp_path / MARK).write_text(json.dumps({"link": "s3://films/d/"}))
    (said,) = _of_mirror(order)
    assert "XDG_CACHE_HOME" in said
    assert "without --address" in said

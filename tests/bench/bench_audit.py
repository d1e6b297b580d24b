"""How often an audit's intervals hold the truth, and how much narrower they are than plain sampling's.

Run: python -m tests.bench.bench_audit [--audits 20000]. Audits are simulated: 20 made-up datasets of 20,000 clips for each of 50 settings
(errors 1 to 10 %, correlation of prediction and error 0 to 0.8, a prediction that is blind to 30 % of the errors or to none), 300 clicks
each, through the code that `hdvg audit` estimates by. The last line is one JSON object: `audit_coverage` (the least of all settings, of
95 % intervals), `audit_above` (the largest share of audits whose truth lies above the upper end), `audit_narrower` (plain sampling's mean
width over this one's, the least of the settings with 5 % errors or more, correlation 0.55 or more and no blindness),
`audit_wider_where_useless` (the reverse, the largest of the settings with correlation 0), and `audit_cpu_s`.
"""

from __future__ import annotations

import argparse
import json
import time

from hdvg.audit.simulate import settings, simulate, summary


def main() -> None:
    """Simulate, print a line a setting, and the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audits", type=int, default=2000, help="of each setting")
    asked = parser.parse_args()
    start = time.process_time()
    tried = []
    for one in simulate(asked.audits, settings()):
        tried.append(one)
        planted = f"errors {one.setting.errors:4.0%}  rho {one.setting.rho:4.2f}  blind to {one.setting.blind:3.0%}"
        print(f"{planted}  coverage {one.coverage:.3f}  above {one.above:.3f}  narrower {one.narrower:.2f}", flush=True)
    print(
        json.dumps({**summary(tried), "audits": len(tried) * asked.audits, "audit_cpu_s": time.process_time() - start})
    )


if __name__ == "__main__":
    main()

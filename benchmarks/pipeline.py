"""How good the deal model is on a real pipeline (BPI Challenge 2012), beside what else could have been used.

First the product's own test, as of several past days; then the protocol under which figures on this log were published.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks._measure import write_json
from benchmarks._published_protocol import published_protocol
from benchmarks._real_data import Real, data_arguments, read_real
from benchmarks._rolling_origin import roll, show_rolled

SIZES = {"small": 1, "full": 4}
LEAST_TEST_DAYS = 7.0
"""Four months of history allow four as-ofs a week apart, no more if each is to be tested on two weeks."""


def main() -> None:
    """Test as of several days and under the published protocol, print both."""
    parser = argparse.ArgumentParser()
    data_arguments(parser, folder="bpic2012")
    options = parser.parse_args()
    real = read_real(options, config="bpic2012.yaml")
    if real is None:
        return
    results = [_rolled(real, folds=SIZES[options.size], automl=options.automl)]
    results.append(published_protocol(real.tables, settings=real.settings))
    write_json(options.json, results)


def _rolled(real: Real, *, folds: int, automl: str | None) -> dict[str, Any]:
    settings = real.settings.model_copy(
        update={"split": real.settings.split.model_copy(update={"min_test_days": LEAST_TEST_DAYS})}
    )
    rolled = roll("deals", tables=real.tables, as_of=real.as_of, settings=settings, folds=folds, automl=automl)
    return show_rolled(rolled, title="bpic2012: won within the horizon that the history supports")


if __name__ == "__main__":
    main()

"""How good the contact model is on a real campaign under heavy drift (UCI Bank Marketing), beside the usual models."""

from __future__ import annotations

import argparse

from benchmarks._measure import write_json
from benchmarks._real_data import data_arguments, read_real
from benchmarks._rolling_origin import roll, show_rolled

SIZES = {"small": 1, "full": 4}


def main() -> None:
    """Test as of several past days and print the figures."""
    parser = argparse.ArgumentParser()
    data_arguments(parser, folder="bank_marketing")
    options = parser.parse_args()
    real = read_real(options, config="bank_marketing.yaml")
    if real is None:
        return
    rolled = roll(
        "contacts",
        tables=real.tables,
        as_of=real.as_of,
        settings=real.settings,
        folds=SIZES[options.size],
        automl=options.automl,
    )
    write_json(options.json, [show_rolled(rolled, title="bank_marketing: bought within the horizon")])


if __name__ == "__main__":
    main()

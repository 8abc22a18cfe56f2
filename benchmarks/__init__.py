"""Speed as ratios against named rivals, measured in one run."""

"""What it means: point rules, training, calibration, evaluation, explanation, registry."""

"""One module a step, never changed once released; ``tests/serving/stores`` holds a store of each release."""

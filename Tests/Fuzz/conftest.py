from harness.fixtures import time_limit  # noqa: F401 (pytest finds fixtures by name)

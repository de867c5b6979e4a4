"""What tests say about messages."""

from __future__ import annotations

import pytest


def sentence(error: pytest.ExceptionInfo) -> str:
    """Return the message of an error, which is one sentence on one line."""
    message = str(error.value)
    assert "\n" not in message
    return message

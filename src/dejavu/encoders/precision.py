"""Weights in bfloat16, which computes several times as fast as float32 where a processor has units for it."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

# what a model compares with, and no embedding depends on
_APART = ("logit_scale", "logit_bias")


def halve(model: Any) -> None:
    """Round the weights of a model to bfloat16, in place; not the running means of batch normalisation."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                continue
            for name, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
                if value.is_floating_point() and name not in _APART:
                    value.data = value.data.bfloat16()

"""One node's part of a training on several nodes; srun runs ``python -m dejavu.training.node folder`` on each node."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from dejavu.training.torchrun import Share, run_share

if __name__ == "__main__":
    content = json.loads((Path(sys.argv[1]) / "share.json").read_text(encoding="utf-8"))
    sys.exit(run_share(Share(**content), node=int(os.environ["SLURM_PROCID"])))

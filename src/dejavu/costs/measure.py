"""The rates of this machine, measured with the configuration's own data, models and `measure`; kept in a file."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dejavu.config.architectures import architecture_path
from dejavu.costs.memory import PROJECT
from dejavu.costs.rates import COMMON, OF_DATASET, OF_MODEL, Rate, Rates, read_rates
from dejavu.costs.work import Planned
from dejavu.errors import InputError
from dejavu.plan.parameters import as_json, kept_neighbors
from dejavu.progress import say
from dejavu.sides import TFIDF, kind_of

# what a job of each kind imports before it begins
IMPORTS = {
    "start": "from snakemake import script; import dejavu.measurement.population, dejavu.data.ingest",
    "start_search": (
        "from snakemake import script; import dejavu.retrieval.neighbors;"
        "from dejavu.retrieval.choice import engine_on; engine_on('{search}', '{device}', 1)"
    ),
    "start_torch": "from snakemake import script; import dejavu.training.loop, dejavu.encoders.openclip",
}
KIND_OF_MEMORY = {"start": "light", "start_search": "search", "start_torch": "torch"}
PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
# a batch that a training probe needs at the most
MOST_ROWS = 20_000


def measured_rates(planned: Planned, folder: Path, again: bool = False) -> Rates:
    """Return the rates of this machine, from the file of an earlier measurement with the same where there is one.

    Args:
        planned: the configuration.
        folder: of such files.
        again: measure also where there is one.

    Raises:
        InputError: when the configuration needs a GPU and there is none here, or a probe ends with an error.
    """
    key = hashlib.sha256(
        as_json([_measured_with(planned.config), machine_name(), [*COMMON, *OF_DATASET, *OF_MODEL]]).encode()
    ).hexdigest()[:12]
    path = folder / f"rates-{key}.json"
    if path.is_file() and not again:
        return read_rates(path)
    device = planned.config["device"]
    if device == "cuda" and not _has_gpu():
        raise InputError(
            "device is cuda, but there is no GPU here to measure: plan where the jobs will run, or add --rates h100 "
            "or the file of rates of your GPU."
        )
    say(f"measuring this machine, which takes about a minute; kept in {path}")
    rates = _measure(planned, key)
    rates.write(path)
    return rates


def machine_name() -> str:
    """Return what this machine is called: its processor, and the number of cores that this process may use."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    return f"{name}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"


def _has_gpu() -> bool:
    command = [sys.executable, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


def _measured_with(config: Mapping[str, Any]) -> Any:
    """Return the part of a configuration that rates depend on: nothing about how much there is of anything."""
    amounts = {"samples_seen", "checkpoints", "seed", "pairs", "files", "files_per_job", "max_quarantined"}

    def kept(value: Any) -> Any:
        return (
            {key: kept(part) for key, part in value.items() if key not in amounts} if isinstance(value, dict) else value
        )

    models = sorted({as_json(kept(model)) for model in config["models"].values()})
    return [kept(config["datasets"]), models, kept(config["measure"]), config["report"], config["device"]]


def _measure(planned: Planned, key: str) -> Rates:
    config = planned.config
    common, memory = _starts(config["device"], config["measure"]["search"])
    with tempfile.TemporaryDirectory(prefix="dejavu-rates-") as made:
        empty = Path(made) / "common"
        empty.mkdir()
        common |= _probe("probe_common", {"measure": config["measure"], "report": config["report"]}, empty)
        batches = [m["batch_size"] // m["processes"] for m in config["models"].values() if "sides" not in m]
        rows = min(MOST_ROWS, max(batches, default=0))
        datasets = {}
        for name, section in config["datasets"].items():
            folder = Path(made) / "datasets" / name
            folder.mkdir(parents=True)
            task = {"name": name, "section": section, "device": config["device"], "folder": str(folder), "rows": rows}
            datasets[name] = _probe("probe_data", task)
        models, known = {}, {}
        for name, model, recipe in _models(config):
            same = as_json([model | {"source": "" if recipe else model["source"]}, _alike(recipe)])
            if same not in known:
                folder = Path(made) / "models" / name
                folder.mkdir(parents=True)
                samples = str(Path(made) / "datasets" / next(iter(datasets)) / "samples")
                task = {"model": model, "recipe": recipe, "samples": samples, "folder": str(folder)}
                task |= {"device": config["device"], "batch_size": config["measure"]["embed_batch_size"]}
                task |= {
                    "search": config["measure"]["search"],
                    "k": kept_neighbors(config),
                    "workers": config["training"]["workers"],
                }
                known[same] = _probe("probe_models", task)
            models[name] = {unit: rate for unit, rate in known[same].items() if unit != "load"}
        # every job loads its model: that of the largest
        loading = max((rates["load"].seconds for rates in known.values()), default=0.0)
        common["start_torch"] = Rate(common["start_torch"].seconds + loading)
    return Rates(machine_name(), config["device"], "measured", memory, common, datasets, models, key)


def _starts(device: str, search: str) -> tuple[dict[str, Rate], dict[str, float]]:
    """Return how long processes take to import what their jobs do, and the MB that they hold then."""
    rates, memory = {}, {}
    for unit, code in IMPORTS.items():
        told = f"{code.format(device=device, search=search)}; {PEAK}"
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-c", told]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=_environment())
        elapsed, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rates[unit] = Rate(min(elapsed, worked))
        memory[KIND_OF_MEMORY[unit]] = int(done.stdout) / (1e6 if sys.platform == "darwin" else 1e3)
    return rates, memory


def _models(config: Mapping[str, Any]) -> list[tuple[str, dict[str, Any], dict[str, Any] | None]]:
    """Return name, description and recipe of everything that is trained or embedded."""
    found: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = []
    for name, section in config["models"].items():
        if "sides" not in section:
            path = architecture_path(section["architecture"], PROJECT)
            recipe = section | {"architecture": str(path) if path else section["architecture"]}
            model = {"kind": "trained", "source": name, "architecture": recipe["architecture"]}
            found.append((name, model, recipe))
            continue
        for letter, side in section["sides"].items():
            kind = kind_of(side)
            if kind == "model" or side[kind] == TFIDF:
                continue
            model = {"kind": kind, "source": side[kind], "architecture": side["architecture"]}
            found.append((f"{name}.{letter}", model | {"preprocessing": side["preprocessing"]}, None))
    return found


def _alike(recipe: Mapping[str, Any] | None) -> Any:
    """Return what the speed of a training depends on."""
    keys = ("architecture", "batch_size", "processes", "precision", "torch_threads", "text_mask", "crop_scale", "loss")
    return recipe and {key: recipe[key] for key in keys}


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(PROJECT / "src")}


def _probe(module: str, task: Mapping[str, Any], folder: Path | None = None) -> dict[str, Rate]:
    """Run a probe as a process of its own and return its rates."""
    command = [sys.executable, "-m", f"dejavu.costs.{module}"]
    done = subprocess.run(
        command, input=json.dumps(task), text=True, capture_output=True, cwd=folder, env=_environment()
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "Error" in line.partition(":")[0]]
        last = (errors or done.stderr.split("\n") or [""])[-1] or "it says nothing"
        raise InputError(f"this machine could not be measured ({module}: {last}): mend that, or add --rates.")
    return {unit: Rate(*pair) for unit, pair in json.loads(done.stdout.splitlines()[-1]).items()}

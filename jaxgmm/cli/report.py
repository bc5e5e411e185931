"""The text and JSON that the command line prints: a sweep, plans, a model, what is installed."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
from collections.abc import Iterable, Sequence

import jax
import jaxlib
import numpy as np

from .. import tables
from ..inference import n_parameters
from ..records import Mixture, Selection
from ..tables import Table


def as_text(selection: Selection, seconds: float, columns: Sequence[str] | None) -> str:
    """The sweep as a table, the parameters of its best mixture, and the time."""
    mixture = selection.best.mixture
    family, own = selection.table[tables.best_row(selection)]["family"], mixture.family.name
    units = f" of standardized features, {own} in the data's units" if family != own else ""
    chosen = f"best by {selection.criterion}: {family}, K = {mixture.n_components}{units}"
    count = f"{len(selection.table)} mixture{'s' if len(selection.table) > 1 else ''}"
    timing = f"{count} in {seconds:.1f} s ({device()}, {mixture.log_weights.dtype})"
    shown = [tables.sweep(selection), Table(title=chosen), *tables.of_mixture(mixture, columns), Table(title=timing)]
    return tables.as_text(shown)


def as_json(
    selection: Selection, seconds: float, columns: Sequence[str] | None, asked: dict | None = None, version: str = ""
) -> str:
    """One JSON object: table, best, columns, options (``asked``), seed, version, seconds, device, dtype. Numbers that
    are not finite are null.

    ``best`` has its row of the table, the criterion, the names of the features (null without), weights and parameters.
    Where the family in the data's units is another than that fitted to standardized features, it also has
    ``mixture_family``.
    """
    asked = asked or {}
    mixture = selection.best.mixture
    best = {
        **selection.table[tables.best_row(selection)],
        "criterion": selection.criterion,
        **tables.plain(mixture, columns),
    }
    if best["family"] != mixture.family.name:
        best["mixture_family"] = mixture.family.name
    given = {"columns": best["columns"], "options": asked, "seed": asked.get("seed"), "version": version}
    ran = {"seconds": seconds, "device": device(), "dtype": str(mixture.log_weights.dtype)}
    return _json({"table": selection.table, "best": best, **given, **ran})


def plans_as_json(plans: Iterable, seconds: Iterable[float]) -> str:
    """One JSON object: plans, each with the fields of `jaxgmm.planning.Plan`, its memory, and the seconds of an update
    of all its starts."""
    listed = zip(plans, seconds, strict=True)
    return _json({"plans": [dataclasses.asdict(p) | {"memory": p.memory, "seconds_per_update": s} for p, s in listed]})


def about_model(mixture: Mixture) -> str:
    """The text about a model: its sizes, weights and parameters."""
    about = f"{tables.heading(mixture)}, {n_parameters(mixture)} free parameters, {mixture.log_weights.dtype}"
    return tables.as_text([Table(title=about), *tables.of_mixture(mixture)])


def about_installation(version: str) -> str:
    """The text about device, versions (``version`` is jaxgmm's) and precision."""
    cache = jax.config.jax_compilation_cache_dir
    return "\n".join(
        [
            f"jaxgmm     {version}",
            f"jax        {jax.__version__}, jaxlib {jaxlib.__version__}, numpy {np.__version__}",
            f"python     {platform.python_version()}, {platform.system()} {platform.machine()}",
            f"device     {device()}" + (f", {jax.device_count()} of them" if jax.device_count() > 1 else ""),
            "precision  float32 data in float32, all other in float64",
            f"cache      {cache or 'none: programs are compiled anew by every command'}",
        ]
    )


def device() -> str:
    """The device that computes."""
    first = jax.devices()[0]
    return first.platform if first.device_kind == first.platform else f"{first.platform} ({first.device_kind})"


def _json(value) -> str:
    return json.dumps(_finite(value), allow_nan=False)


def _finite(value):
    """The value with None for NaN and infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

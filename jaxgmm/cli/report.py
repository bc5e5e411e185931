"""What the command line prints: the table of a sweep, the parameters of a mixture, what is installed."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
from collections.abc import Iterable, Sequence

import jax
import jaxlib
import numpy as np

from ..checks import n_features
from ..families.base import parameters
from ..inference import n_parameters
from ..records import Mixture, Selection

# A matrix of more features than this is not something one reads in a terminal.
WIDEST_MATRIX = 12


def as_text(selection: Selection, seconds: float, columns: Sequence[str] | None) -> str:
    """The sweep as a table, the parameters of its best mixture, and the time."""
    best = _best_row(selection)
    mixture = selection.best.mixture
    family, own = selection.table[best]["family"], mixture.family.name
    units = f" of standardized features, {own} in the data's units" if family != own else ""
    chosen = f"best by {selection.criterion}: {family}, K = {mixture.n_components}{units}"
    count = f"{len(selection.table)} mixture{'s' if len(selection.table) > 1 else ''}"
    timing = f"{count} in {seconds:.1f} s ({device()}, {dtype(mixture)})"
    return "\n\n".join([sweep(selection.table, best), chosen, describe(mixture, columns), timing])


def as_json(
    selection: Selection, seconds: float, columns: Sequence[str] | None, asked: dict | None = None, version: str = ""
) -> str:
    """One JSON object: table, best, columns, options (as they were ``asked``), seed, version, seconds, device, dtype;
    null stands for what is not a finite number.

    ``best`` is its row of the table, the criterion, the names of the features (null: the data have none), weights, and
    all parameters; of the family ``mixture_family``, where standardized features have another in the data's units.
    """
    asked = asked or {}
    mixture = selection.best.mixture
    best = {
        **selection.table[_best_row(selection)],
        "criterion": selection.criterion,
        "columns": list(columns) if columns else None,
        "options": dict(mixture.family.options),
        "weights": np.asarray(mixture.weights).tolist(),
        "components": {name: values.tolist() for name, values in _arrays(mixture).items()},
    }
    if best["family"] != mixture.family.name:
        best["mixture_family"] = mixture.family.name
    told = {"columns": best["columns"], "options": asked, "seed": asked.get("seed"), "version": version}
    ran = {"seconds": seconds, "device": device(), "dtype": dtype(mixture)}
    return _json({"table": selection.table, "best": best, **told, **ran})


def plans_as_json(plans: Iterable, seconds: Iterable[float]) -> str:
    """One JSON object: plans, each with the fields of `jaxgmm.planning.Plan`, its memory, and the seconds of an update
    of all its starts."""
    listed = zip(plans, seconds, strict=True)
    return _json({"plans": [dataclasses.asdict(p) | {"memory": p.memory, "seconds_per_update": s} for p, s in listed]})


def about_model(mixture: Mixture, columns: Sequence[str] | None) -> str:
    """What is in a model."""
    size = f"{mixture.family.name}, K = {mixture.n_components}, {n_features(mixture)} features"
    return f"{size}, {n_parameters(mixture)} free parameters, {dtype(mixture)}\n\n{describe(mixture, columns)}"


def about_installation(version: str) -> str:
    """Device, versions (that of jaxgmm is given) and precision."""
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


def sweep(table: Sequence[dict], best: int) -> str:
    """The rows of `Selection.table`, aligned; the best one is marked."""
    head = ["family", "K", "log_likelihood", "parameters", "bic", "aic", "icl", "status"]
    rows = [
        [
            row["family"],
            str(row["n_components"]),
            _fixed(row["log_likelihood"]),
            str(row["n_parameters"]),
            *(_fixed(row[name]) for name in ("bic", "aic", "icl")),
            row["status"].lower() + (" <- best" if index == best else ""),
        ]
        for index, row in enumerate(table)
    ]
    return aligned([head, *rows], left={0, 7})


def describe(mixture: Mixture, columns: Sequence[str] | None) -> str:
    """Weights and parameters of a mixture, by the names of the features; components are counted from 0."""
    about = parameters(type(mixture.components))
    features = feature_names(columns, n_features(mixture))
    components = range(mixture.n_components)
    rows = [["component", *map(str, components)], ["weight", *map(_short, np.asarray(mixture.weights))]]
    matrices = []
    for name, values in _arrays(mixture).items():
        axes, k = about[name]["shape"], len(components)
        labels = [features if a == "d" else range(n) for a, n in zip(axes, values.shape, strict=True) if a != "k"]
        every = values if axes.startswith("k") else np.broadcast_to(values, (k, *values.shape))
        if not labels:
            rows.append([name, *map(_short, every)])
        elif len(labels) == 1:
            rows.append([name])
            rows.extend([f"  {label}", *map(_short, numbers)] for label, numbers in zip(*labels, every.T, strict=True))
        elif len(labels) > 2 or math.prod(map(len, labels)) > WIDEST_MATRIX**2:
            matrices.append(f"{name}: {' x '.join(map(str, values.shape))} numbers, too many to print")
        elif axes == "kdc":
            codes = dict(mixture.family.options).get("codes", [labels[1]] * len(features))
            rows.append([name])
            for j, feature in enumerate(features):
                rows.extend([f"  {feature} = {code}", *map(_short, values[:, j, c])] for c, code in enumerate(codes[j]))
        elif axes.startswith("k"):
            matrices.extend(_matrix(f"{name}, component {i}", values[i], *labels) for i in components)
        else:
            matrices.append(_matrix(f"{name}, the same for all components", values, *labels))
    return "\n\n".join([aligned(rows, left={0}), *matrices])


def feature_names(columns: Sequence[str] | None, d: int) -> list[str]:
    """The names of the features; x0, x1, ... where nobody gave any."""
    return list(columns) if columns else [f"x{j}" for j in range(d)]


def aligned(rows: Iterable[Sequence[str]], left: set[int]) -> str:
    """Rows of words as columns of text, flushed right but for the columns in `left`."""
    rows = list(rows)
    widths = [max(len(row[j]) for row in rows if j < len(row)) for j in range(max(map(len, rows)))]
    lines = [
        "  ".join(word.ljust(widths[j]) if j in left else word.rjust(widths[j]) for j, word in enumerate(row))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def device() -> str:
    """The device that computes."""
    first = jax.devices()[0]
    return first.platform if first.device_kind == first.platform else f"{first.platform} ({first.device_kind})"


def dtype(mixture: Mixture) -> str:
    return str(mixture.log_weights.dtype)


def _best_row(selection: Selection) -> int:
    return next(row for row, result in enumerate(selection.results) if result is selection.best)


def _arrays(mixture: Mixture) -> dict[str, np.ndarray]:
    return {name: np.asarray(values) for name, values in vars(mixture.components).items()}


def _matrix(title: str, values: np.ndarray, labels: Iterable, head: Iterable) -> str:
    """One matrix of a component, such as (d, d)."""
    rows = [[f"  {label}", *map(_short, values[j])] for j, label in enumerate(labels)]
    return f"{title}\n{aligned([['', *map(str, head)], *rows], left={0})}"


def _json(value) -> str:
    return json.dumps(_finite(value), allow_nan=False)


def _json(value) -> str:
    return json.dumps(_finite(value), allow_nan=False)


def _finite(value):
    """The same value with None for NaN and infinities, which JSON does not know."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _short(value: float) -> str:
    return f"{value:.5g}"


def _fixed(value: float) -> str:
    return f"{value:.3f}"

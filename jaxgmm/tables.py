"""Mixtures, fits and selections as tables, for `print`, for notebooks and for the command line.

A `Table` holds strings, and is rendered as text (`as_text`) or as HTML (`as_html`). This module imports no record, so
that records can import it: it reads their attributes.
"""

import dataclasses
import html
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

WIDEST_MATRIX = 12  # features; larger matrices are not printed
MOST_COMPONENTS, MOST_FEATURES, MOST_FITS = 9, 24, 40  # that fit on a screen
MATRIX_LINES = 48  # lines of matrices on a screen

NOT_TO_BE_CHOSEN = {
    "DEGENERATE": (
        "its likelihood has no bound: a component is held up by the prior or a floor, or by less than a row of data"
    ),
    "DECREASED": "its log-likelihood fell on the way by more than rounding or the prior explains",
    "NON_FINITE": "its log-likelihood is not finite",
    "INVALID": "its rows or weights were not valid",
    **dict.fromkeys(("CONVERGED", "MAX_ITER", "STOPPED"), "columns are collinear, and a floor sets its likelihood"),
}


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of strings, of which the first is the head, with a title above and a note below; the columns in ``left`` are
    aligned left, the others right."""

    rows: list = dataclasses.field(default_factory=list)
    left: tuple = (0,)
    title: str = ""
    note: str = ""


def as_text(tables: Iterable[Table]) -> str:
    """Tables as text, with a blank line between two."""
    parts = (filter(None, (t.title, aligned(t.rows, set(t.left)) if t.rows else "", t.note)) for t in tables)
    return "\n\n".join("\n".join(lines) for lines in parts)


def as_html(tables: Iterable[Table]) -> str:
    """Tables as HTML, with all text escaped."""
    return "<div>" + "".join(map(_html, tables)) + "</div>"


def aligned(rows: Iterable[Sequence[str]], left: set[int]) -> str:
    """Rows of strings as lines of text, in columns aligned right, and left for those in ``left``."""
    rows = list(rows)
    widths = [max(len(row[j]) for row in rows if j < len(row)) for j in range(max(map(len, rows)))]
    lines = [
        "  ".join(word.ljust(widths[j]) if j in left else word.rjust(widths[j]) for j, word in enumerate(row))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def of_selection(selection) -> list[Table]:
    """The table of fits, and the parameters of the best one; as much as a screen holds."""
    mixture = selection.best.mixture
    chosen = f"best by {selection.criterion}: {mixture.family.name}, K = {mixture.n_components}"
    return [sweep(selection, MOST_FITS), Table(title=chosen), *of_mixture(mixture, screen=True)]


def of_result(result) -> list[Table]:
    """How a fit ended, and the parameters of its mixture; as much as a screen holds."""
    status = getattr(result.status, "name", result.status)
    updates = f"{result.n_iter} update{'' if result.n_iter == 1 else 's'}"
    ended = f"{status} after {updates}, log-likelihood {_fixed(result.log_likelihood)}"
    return [Table(title=heading(result.mixture), note="\n".join(filter(None, (ended, starts(result))))),
            *of_mixture(result.mixture, screen=True)]  # fmt: skip


def starts(result) -> str:
    """One line on how the starts of a fit ended; "" for a single start."""
    if result.restart_status is None or np.size(result.restart_status) < 2:
        return ""
    ended = Counter(_name_of(type(result.status), status) for status in np.asarray(result.restart_status))
    return f"{sum(ended.values())} starts: " + ", ".join(f"{n} {name}" for name, n in ended.most_common())


def _name_of(kind, status) -> str:
    return kind(int(status)).name if hasattr(kind, "__members__") else str(int(status))


def sweep(selection, most: int | None = None) -> Table:
    """The rows of `Selection.table`, with the best one marked; a note explains why fits with a lower criterion were not
    chosen.

    Of more than ``most`` rows only those with the lowest criterion are shown, in the order of the grid.
    """
    table, criterion, best = selection.table, selection.criterion, best_row(selection)
    lowest = table[best].get(criterion, math.nan)
    lower = [i for i, row in enumerate(table) if i != best and row.get(criterion, math.nan) < lowest]
    kept, note = range(len(table)), []
    if most is not None and len(table) > most:
        value = [row.get(criterion, math.nan) for row in table]
        order = sorted(kept, key=lambda i: (i != best, i in lower, math.isnan(value[i]), value[i]))
        kept = sorted(order[:most])
        note = [f"{len(table) - most} more rows, of higher {criterion} or not to be chosen, are in .table"]
    names = {table[i]["status"] for i in lower if i in kept}
    note += [
        f"* lower than the best, and not to be chosen ({name.lower()}): {NOT_TO_BE_CHOSEN.get(name, 'see its status')}"
        for name in sorted(names)
    ]
    head = ["family", "K", "log_likelihood", "parameters", "bic", "aic", "icl", "status"]
    rows = [
        [
            table[i]["family"],
            str(table[i]["n_components"]),
            _fixed(table[i]["log_likelihood"]),
            str(table[i]["n_parameters"]),
            *(_fixed(table[i][name]) for name in ("bic", "aic", "icl")),
            table[i]["status"].lower() + (" <- best" if i == best else " *" if i in lower else ""),
        ]
        for i in kept
    ]
    return Table([head, *rows], left=(0, 7), note="\n".join(note))


def best_row(selection) -> int:
    """The index of the best fit of a selection in its table."""
    return next(i for i, result in enumerate(selection.results) if result is selection.best)


def of_mixture(mixture, columns: Sequence[str] | None = None, screen: bool = False) -> list[Table]:
    """Weights and parameters of a mixture, with the names of the features; components are counted from 0.

    ``screen``: only as much as a screen holds, with notes on what is left out.
    """
    d, k = mixture.n_features, mixture.n_components
    features = feature_names(columns or mixture.columns, d)
    across, down = (min(k, MOST_COMPONENTS), min(d, MOST_FEATURES)) if screen else (k, d)
    components, more = range(across), f"  ... {d - down} more features"
    rows = [["component", *map(str, components)], ["weight", *map(_short, np.asarray(mixture.weights)[:across])]]
    matrices = []
    for name, (axes, values) in parameters_of(mixture).items():
        labels = [features if a == "d" else range(n) for a, n in zip(axes, values.shape, strict=True) if a != "k"]
        every = values if axes.startswith("k") else np.broadcast_to(values, (k, *values.shape))
        if not labels:
            rows.append([name, *map(_short, every[:across])])
        elif len(labels) == 1:
            rows.append([name])
            numbers = list(zip(*labels, every[:across].T, strict=True))
            rows.extend([f"  {label}", *map(_short, column)] for label, column in numbers[:down])
            rows.extend([[more]] if down < d else [])
        elif len(labels) > 2 or math.prod(map(len, labels)) > WIDEST_MATRIX**2:
            matrices.append(Table(title=f"{name}: {' x '.join(map(str, values.shape))} numbers, too many to print"))
        elif axes == "kdc":
            codes = dict(mixture.family.options).get("codes", [labels[1]] * len(features))
            rows.append([name])
            for j, feature in enumerate(features[:down]):
                shown = values[:across, j]
                rows.extend([f"  {feature} = {code}", *map(_short, shown[:, c])] for c, code in enumerate(codes[j]))
            rows.extend([[more]] if down < d else [])
        elif axes.startswith("k"):
            matrices.extend(_matrix(f"{name}, component {i}", values[i], *labels) for i in components)
        else:
            matrices.append(_matrix(f"{name}, the same for all components", values, *labels))
    if across < k:
        rest = np.asarray(mixture.weights)[across:].sum()
        matrices.insert(0, Table(title=f"{k - across} more components, of weight {_short(rest)} together"))
    return [Table(rows), *(_cut(matrices) if screen else matrices)]


def heading(mixture) -> str:
    """The family and the sizes of a mixture."""
    return f"{mixture.family.name}, K = {mixture.n_components}, {features(mixture)}"


def feature_names(columns: Sequence[str] | None, d: int) -> list[str]:
    """The names of the features; x0, x1, ... where there are none."""
    return list(columns) if columns else [f"x{j}" for j in range(d)]


def parameters_of(mixture) -> dict[str, tuple[str, np.ndarray]]:
    """{name: (axes as declared, such as "kd", values)} of every parameter."""
    return {
        field.name: (field.metadata["shape"], np.asarray(getattr(mixture.components, field.name)))
        for field in dataclasses.fields(mixture.components)
    }


def plain(mixture, columns: Sequence[str] | None = None) -> dict[str, Any]:
    """The contents of a mixture as plain Python values, for JSON."""
    columns = columns or mixture.columns
    return {
        "columns": list(columns) if columns else None,
        "options": dict(mixture.family.options),
        "weights": np.asarray(mixture.weights).tolist(),
        "components": {name: values.tolist() for name, (_, values) in parameters_of(mixture).items()},
    }


def in_one_line(record) -> str:
    """One line about a mixture or a result, for the prompt; without sizes where it is traced or holds no arrays."""
    mixture, kind = getattr(record, "mixture", record), type(record).__name__
    about = [getattr(mixture.family, "name", str(mixture.family))]
    if _numbers(record) and np.ndim(mixture.log_weights) > 0:
        batch = np.shape(mixture.log_weights)[:-1]
        about += [f"a batch of shape {batch}"] if batch else []
        about += [f"K = {mixture.n_components}", features(mixture), str(mixture.log_weights.dtype)]
        if record is not mixture and not batch:
            about += [f"log-likelihood {_fixed(record.log_likelihood)}", getattr(record.status, "name", "")]
    return f"{kind}({', '.join(filter(None, about))})"


def readable(record) -> bool:
    """Whether a record holds one mixture (no batch) of concrete numbers, which a table can show."""
    record = getattr(record, "best", record)
    return _numbers(record) and np.ndim(getattr(record, "mixture", record).log_weights) == 1


def _numbers(tree) -> bool:
    """Whether all leaves are concrete numbers: no tracers, no placeholders for arrays."""
    kinds = jax.Array, np.ndarray, np.generic, float, int
    leaves = jax.tree.leaves(tree)
    return all(isinstance(leaf, kinds) and not isinstance(leaf, jax.core.Tracer) for leaf in leaves)


def features(mixture) -> str:
    """How many features a mixture has, in words."""
    return f"{mixture.n_features} feature{'s' * (mixture.n_features != 1)}"


def _cut(matrices: list[Table]) -> list[Table]:
    """The first matrices, as many as a screen holds, and a note on the others."""
    kept, lines = [], 0
    for table in matrices:
        lines += len(table.rows) + 2
        if lines > MATRIX_LINES:
            break
        kept.append(table)
    left = len(matrices) - len(kept)
    words = f"{left} more matri{'x' if left == 1 else 'ces'}: .components has all numbers"
    return [*kept, Table(title=words)] if left else kept


def _matrix(title: str, values: np.ndarray, labels: Iterable, head: Iterable) -> Table:
    """A matrix with labels of its rows and a head."""
    rows = [[f"  {label}", *map(_short, values[j])] for j, label in enumerate(labels)]
    return Table([["", *map(str, head)], *rows], title=title)


def _html(table: Table) -> str:
    words = [f"<p>{_escaped(table.title)}</p>"] if table.title else []
    if table.rows:
        width = max(map(len, table.rows))
        head, *rows = ([*row, *[""] * (width - len(row))] for row in table.rows)
        words.append("<table><thead>" + _html_row("th", head, table.left) + "</thead><tbody>")
        words += [_html_row("td", row, table.left) for row in rows]
        words.append("</tbody></table>")
    return "".join(words) + (f"<p>{_escaped(table.note)}</p>" if table.note else "")


def _html_row(tag: str, row: Sequence[str], left: tuple) -> str:
    sides = ("left" if j in left else "right" for j in range(len(row)))
    look = (f'<{tag} style="text-align: {side}">' for side in sides)
    cells = (f"{begin}{_escaped(word)}</{tag}>" for begin, word in zip(look, row, strict=True))
    return f"<tr>{''.join(cells)}</tr>"


def _escaped(words: str) -> str:
    return html.escape(words).replace("\n", "<br>")


def _short(value: float) -> str:
    return f"{value:.5g}"


def _fixed(value: float) -> str:
    return f"{value:.3f}"

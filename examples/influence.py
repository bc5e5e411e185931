"""Which rows hold a cluster where it is? The influence of every row on it, from one gradient.

The fit of Old Faithful is a function of the weights of its rows, all 1. The gradient of the mean waiting time of one
component with respect to them says how far it moves when a row counts a little more, and with the other sign, about how
far when the row is left out. All 272 rows are left out here, one refit each, and both are compared. The same gradient
gives a standard error without a bootstrap, the infinitesimal jackknife: the square root of its sum of squares.

The figure is drawn into a folder, a new temporary one unless it is named: ``python examples/influence.py [folder]``.
Needs matplotlib.

Source: Jaeckel, The infinitesimal jackknife (1972); Hampel, The influence curve and its role in robust estimation
(1974).
"""

import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import jaxgmm
import jaxgmm.plot


def drawn(x, mixture, influence, left_out):
    """Rows as dots as large as their influence; and what it predicts of a refit without the row."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    plane, refits = figure.subplots(1, 2)
    jaxgmm.plot.density(mixture, x, ax=plane, columns=["eruption (min)", "waiting (min)"])
    seconds = 60 * influence
    limit = np.abs(seconds).max()
    dots = plane.scatter(
        *x.T, s=4 + 160 * np.abs(seconds) / limit, c=seconds, cmap="RdBu_r", vmin=-limit, vmax=limit, ec="0.3", lw=0.4
    )
    figure.colorbar(dots, ax=plane, label="influence on the mean wait (s)")
    refits.axline((0, 0), slope=1, color="0.8", zorder=0)
    refits.scatter(-seconds, 60 * left_out, s=8, color="0.2")
    refits.set(xlabel="minus the influence (s)", ylabel="change of the mean when the row is left out (s)")
    return figure


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="jaxgmm-"))
    folder.mkdir(parents=True, exist_ok=True)
    x = jaxgmm.datasets.old_faithful()
    whole = jaxgmm.fit(0, x, 2, n_init=5, tol=1e-9).mixture
    short = int(np.argmin(whole.components.means[:, 0]))

    def mean_wait(weight, tol=1e-6):
        """Of the cluster of short eruptions, in minutes; weight (n,)."""
        return jaxgmm.fit(0, x, 2, init=whole, sample_weight=weight, tol=tol).mixture.components.means[short, 1]

    with jax.enable_x64(True):
        influence = np.asarray(jax.grad(mean_wait)(jnp.ones(len(x))))
    refitted = [float(mean_wait(without, tol=1e-9)) for without in 1.0 - np.eye(len(x))]
    left_out = np.array(refitted) - float(whole.components.means[short, 1])

    print(f"mean wait after a short eruption: {whole.components.means[short, 1]:.2f} min")
    print(f"its standard error, by the infinitesimal jackknife: {np.sqrt(influence @ influence):.2f} min")
    print("row   eruption  wait   left out: predicted  refitted (s)")
    for i in np.argsort(-np.abs(influence))[:6]:
        eruption, wait = x[i]
        print(f"{i:3d} {eruption:8.2f} {wait:7.0f} {-60 * influence[i]:19.2f} {60 * left_out[i]:9.2f}")
    print(f"correlation over all rows: {np.corrcoef(-influence, left_out)[0, 1]:.4f}")
    figure = drawn(x, whole, influence, left_out)
    figure.savefig(folder / "influence.png", dpi=120)
    print(folder / "influence.png")


if __name__ == "__main__":
    main()

"""Clusters of the cells of an AnnData object by a mixture, under scanpy's conventions: ``import jaxgmm.anndata``.

Results are written into the object: labels to ``obs``, probabilities to ``obsm``, the mixture to ``uns``. This module
does not import anndata; it imports pandas, on which anndata depends, when `fit` is called.
"""

from collections.abc import Iterable

import numpy as np

from .families.base import Family
from .inference import predict, responsibilities
from .selection import select


def fit(
    adata,
    n_components: int | Iterable[int] = range(1, 10),
    *,
    use_rep: str = "X_pca",
    key_added: str = "gmm",
    families: str | Family | Iterable[str | Family] = ("full", "tied", "diag", "spherical"),
    criterion: str = "bic",
    n_init: int = 10,
    random_state=0,
    copy: bool = False,
):
    """None; writes the clusters of the best mixture into the object. With ``copy`` it returns a changed copy instead.

    Args:
        adata: an AnnData object of n cells.
        n_components: a number of components, or several to choose from.
        use_rep: which rows to cluster: a key of ``adata.obsm``, or "X" for ``adata.X``.
        key_added: the name of the results.
        families, criterion, n_init: as in `jaxgmm.select`.
        random_state: an int seed or a JAX key.
        copy: whether to leave ``adata`` as it is and return a copy with the results.

    Returns:
        AnnData or None. The object has three new entries:

        - ``obs[key_added]``: the most probable component, a categorical of "0", "1", ... by decreasing weight;
        - ``obsm[key_added + "_proba"]``: the responsibilities (n, k);
        - ``uns[key_added]``: a dict with ``params`` (those of the call), ``weights``, the components' parameters by
          name (``means``, ``covariances``), ``log_likelihood``, ``status``, and ``table``, a DataFrame of all fits.

    Raises:
        ValueError: ``adata`` has no ``use_rep``, or anything that `jaxgmm.select` refuses.

    Warns:
        FitWarning: as `jaxgmm.select`.
    """
    import pandas

    adata = adata.copy() if copy else adata
    rows = _rows(adata, use_rep)
    selection = select(random_state, rows, n_components, families=families, criterion=criterion, n_init=n_init)
    result, mixture = selection.best, selection.best.mixture
    labels = np.asarray(predict(mixture, rows))
    adata.obs[key_added] = pandas.Categorical(labels.astype(str), [str(k) for k in range(mixture.n_components)])
    adata.obsm[f"{key_added}_proba"] = np.asarray(responsibilities(mixture, rows))
    adata.uns[key_added] = {
        "params": {
            "use_rep": use_rep,
            "family": mixture.family.name,
            "n_components": mixture.n_components,
            "criterion": criterion,
            "n_init": n_init,
        },
        "weights": np.asarray(mixture.weights),
        **{name: np.asarray(value) for name, value in vars(mixture.components).items()},
        "log_likelihood": float(result.log_likelihood),
        "status": result.status.name,
        "table": pandas.DataFrame(selection.table),
    }
    return adata if copy else None


def _rows(adata, use_rep: str):
    """The rows (n, d) of a representation, dense."""
    if use_rep != "X" and use_rep not in adata.obsm:
        known = ", ".join(map(repr, ["X", *adata.obsm.keys()]))
        raise ValueError(f"use_rep must be one of {known}, got {use_rep!r}: compute it first (scanpy.pp.pca for X_pca)")
    rows = adata.X if use_rep == "X" else adata.obsm[use_rep]
    return rows.toarray() if hasattr(rows, "toarray") else rows

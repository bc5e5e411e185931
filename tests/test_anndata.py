"""`jaxgmm.anndata.fit`: what it writes, on a stand-in and, where anndata is there, on a real object."""

import copy
import subprocess
import sys
import warnings

import numpy as np
import pandas
import pytest
import scipy.sparse

import jaxgmm
import jaxgmm.anndata


class StandIn:
    """What is used of an AnnData object: obs, obsm, uns, X, copy."""

    def __init__(self, x, pca):
        self.X, self.obsm, self.uns = x, {"X_pca": pca}, {}
        self.obs = pandas.DataFrame(index=[f"cell{i}" for i in range(len(pca))])

    def copy(self):
        return copy.deepcopy(self)


def cells():
    """Three clusters of cells: counts (n, 4) and principal components (n, 2)."""
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [8, 0], [0, 8]])[np.repeat([0, 1, 2], [60, 40, 20])]
    pca = (centres + rng.normal(size=centres.shape)).astype(np.float32)
    return rng.poisson(3, (120, 4)).astype(np.float32), pca


OPTIONS = {"families": ("diag",), "n_init": 3}


def check(adata, key, pca):
    labels = adata.obs[key]
    assert isinstance(labels.dtype, pandas.CategoricalDtype)
    assert list(labels.cat.categories) == ["0", "1", "2"]
    assert list(labels.value_counts().sort_index()) == [60, 40, 20]
    proba, found = adata.obsm[f"{key}_proba"], adata.uns[key]
    assert proba.shape == (120, 3) and proba.dtype == np.float32
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(proba.argmax(1).astype(str), labels)
    assert found["params"]["family"] == "diag" and found["params"]["n_components"] == 3
    assert found["status"] == "CONVERGED" and list(found["table"]["n_components"]) == [1, 2, 3, 4]
    mixture = jaxgmm.mixture("diag", weights=found["weights"], means=found["means"], covariances=found["covariances"])
    np.testing.assert_allclose(np.asarray(jaxgmm.log_prob(mixture, pca)).sum(), found["log_likelihood"], rtol=1e-5)


def test_labels_probabilities_and_parameters_are_written():
    x, pca = cells()
    adata = StandIn(x, pca)
    assert jaxgmm.anndata.fit(adata, range(1, 5), **OPTIONS) is None
    check(adata, "gmm", pca)


def test_a_copy_leaves_the_object_as_it_was():
    x, pca = cells()
    adata = StandIn(x, pca)
    new = jaxgmm.anndata.fit(adata, range(1, 5), key_added="mixture", copy=True, **OPTIONS)
    check(new, "mixture", pca)
    assert not adata.uns and list(adata.obsm) == ["X_pca"] and not len(adata.obs.columns)


def test_sparse_counts_are_read_and_an_unknown_representation_is_named():
    x, pca = cells()
    adata = StandIn(scipy.sparse.csr_matrix(x), pca)
    jaxgmm.anndata.fit(adata, 2, use_rep="X", families="poisson", n_init=1)
    assert adata.uns["gmm"]["rates"].shape == (2, 4)
    with pytest.raises(ValueError, match="use_rep must be one of 'X', 'X_pca', 'gmm_proba', got 'X_umap'"):
        jaxgmm.anndata.fit(adata, 2, use_rep="X_umap")


def test_importing_it_imports_neither_anndata_nor_pandas():
    code = "import sys, jaxgmm.anndata; assert not {'anndata', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_real_object_is_written_and_read_again(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        anndata = pytest.importorskip("anndata")
        x, pca = cells()
        adata = anndata.AnnData(x, obsm={"X_pca": pca})
        jaxgmm.anndata.fit(adata, range(1, 5), **OPTIONS)
        adata.write_h5ad(tmp_path / "cells.h5ad")
        again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    check(again, "gmm", pca)

"""Small public data sets as arrays, for the pages of the documentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

__all__ = ["galaxies", "hasselblad", "iris", "old_faithful"]

HERE = Path(__file__).parent


def old_faithful() -> np.ndarray:
    """Eruptions of the Old Faithful geyser in Yellowstone National Park, August 1985.

    Returns:
        (272, 2): the duration of an eruption and the waiting time to the next one, in minutes.

    Source: Azzalini and Bowman, A look at some data on the Old Faithful geyser (1990), Applied Statistics 39, 357-365;
    Härdle, Smoothing Techniques with Implementation in S (1991). It is `faithful` of R.
    """
    return np.loadtxt(HERE / "faithful.csv", delimiter=",", skiprows=1)


def galaxies() -> np.ndarray:
    """Velocities at which 82 galaxies in the region of Corona Borealis move away from ours.

    Returns:
        (82, 1): velocities in km/s, sorted.

    Source: Postman, Huchra and Geller, Probes of large-scale structure in the Corona Borealis region (1986), The
    Astronomical Journal 92, 1238-1247; Roeder, Density estimation with confidence sets exemplified by superclusters
    and voids in galaxies (1990), JASA 85, 617-624. It is `galaxies` of R's package MASS, with the 78th velocity as
    published, 26,960 (MASS: 26,690, a slip that its help names).
    """
    return np.loadtxt(HERE / "galaxies.csv", skiprows=1)[:, None]


def hasselblad() -> tuple[np.ndarray, np.ndarray]:
    """Deaths of women of 80 years or more that The Times announced, day by day, in three years.

    Returns:
        deaths a day (10, 1), 0 to 9; and the number of days with so many deaths (10,), 1,096 in all: the weights.

    Source: Hasselblad, Estimation of finite mixtures of distributions from the exponential family (1969), JASA 64,
    1459-1471, table 3.
    """
    days = np.array([162.0, 267.0, 271.0, 185.0, 111.0, 61.0, 27.0, 8.0, 3.0, 1.0])
    return np.arange(10.0)[:, None], days


def iris() -> np.ndarray:
    """Fifty flowers of each of three species of iris, in scikit-learn's copy (which differs from R's in two flowers).

    Returns:
        (150, 4): length and width of sepals, length and width of petals, in cm; first setosa, then versicolor, last
        virginica.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.

    Source: Fisher, The use of multiple measurements in taxonomic problems (1936), Annals of Eugenics 7, 179-188.
    """
    try:
        from sklearn.datasets import load_iris
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        raise ModuleNotFoundError("iris is read from scikit-learn: pip install scikit-learn", name="sklearn") from None
    return load_iris().data

"""Mathematics on mixtures: pure functions from mixtures to mixtures and numbers.

cuts           marginal and conditional distributions
regressing     the conditional mean, mode or a draw, for many rows at once
maps           linear maps, sums of variables, products of densities
joining        several mixtures as one, many components as few
tails          moments, probabilities, quantiles
peaks          modes, regions of highest density
uncertainty    entropy
divergences    divergences and distances between two mixtures; transport: the Wasserstein distance
interchange    mixtures of NumPyro, SciPy, OTT and gmr
"""

from .cuts import conditional, marginal
from .divergences import divergence
from .interchange import from_gmr, from_ott, to_gmr, to_numpyro, to_ott, to_scipy
from .joining import concatenate, reduce
from .maps import convolve, multiply, transform
from .peaks import density_level, modes
from .regressing import regress
from .tails import cdf, moments, probability, quantile
from .uncertainty import entropy

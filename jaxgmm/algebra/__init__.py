"""Mathematics on mixtures: pure functions from mixtures to mixtures and numbers.

cuts           some features alone, or given others
regressing     some features from others, many rows at once
maps           linear maps, sums, products
joining        several mixtures as one, many components as few
tails          moments, probabilities, quantiles
peaks          modes, regions of highest density
uncertainty    entropy
divergences    how far two mixtures lie apart; transport: the Wasserstein distance
interchange    NumPyro, SciPy, OTT, gmr
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

"""The families that come with the library: one file each, one line each in this table."""

from .base import register
from .bernoulli import BERNOULLI
from .categorical import categorical
from .diagonal import DIAGONAL
from .exponential import EXPONENTIAL
from .full import FULL
from .gamma import GAMMA
from .one_ball import ONE_BALL
from .one_shape import ONE_SHAPE
from .poisson import POISSON
from .spherical import SPHERICAL
from .tied import TIED


def always(family):
    """The maker of a family without options."""
    return lambda: family


for family in (FULL, TIED, DIAGONAL, SPHERICAL, ONE_BALL, ONE_SHAPE, BERNOULLI):
    register(family.name, always(family))
register("categorical", categorical)
for family in (POISSON, EXPONENTIAL, GAMMA):
    register(family.name, always(family))

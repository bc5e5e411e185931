"""Pictures of mixtures and of their fits, with matplotlib: ``import jaxgmm.plot`` (the extra ``plot``).

Every function draws on the Axes ``ax`` and returns them; ``ax=None`` opens a figure. No function shows or saves a
figure, or changes matplotlib's settings.

    fits    `selection`, `trace`, `restarts`, `stability`
    data    `classification`, `responsibilities`, `uncertainty`, `density` (two features and more), `histogram` (one)

Where a mixture is asked for, a `FitResult`, a `Selection` (its best) and a fitted estimator (its ``mixture_``) will do.
"""

try:
    import matplotlib as _matplotlib
except ModuleNotFoundError as error:
    if error.name != "matplotlib":
        raise
    raise ModuleNotFoundError("jaxgmm.plot needs matplotlib: pip install matplotlib", name="matplotlib") from None

from .contours import density
from .fits import restarts, selection, stability, trace
from .line import histogram
from .plane import classification, responsibilities, uncertainty

__all__ = [
    "classification",
    "density",
    "histogram",
    "responsibilities",
    "restarts",
    "selection",
    "stability",
    "trace",
    "uncertainty",
]

"""Pictures of mixtures and of their fits, with matplotlib: ``import jaxgmm.plot`` (the extra ``plot``).

Axes in, Axes out. Every function draws on the Axes it is given and returns them; ``ax=None`` opens a figure. Nothing is
shown, saved or styled for the rest of the session.

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

"""`Glance`, which a callback receives during a fit, and ready-made callbacks: a history, a bar, a printed line."""

import dataclasses
import sys
from typing import Any


@dataclasses.dataclass(frozen=True)
class Glance:
    """Where a search stands.

    ``iteration`` counts updates, 0 at the start; those of starts that run one after another add up. ``log_likelihood``
    is the total, in the data's units, of the best start so far that is neither degenerate nor failed (in a sweep, among
    the numbers of components that run together); ``gain`` is what its last update added per unit weight, inf at first.
    ``fits_done`` of ``fits`` have ended; `fit` is one. Where rows stream, ``rows`` is the number of rows that these
    iterations have read, at the rate ``rows_per_second``; both are None otherwise.
    """

    iteration: int
    log_likelihood: Any
    gain: float
    fits_done: int
    fits: int
    rows: int | None = None
    rows_per_second: float | None = None


class History:
    """A callback that keeps every `Glance` in ``records``; with ``every=1``, the whole trace of a fit.

    One history may serve several fits: their glances follow one another in the list.
    """

    def __init__(self) -> None:
        self.records: list[Glance] = []

    def __call__(self, glance: Glance) -> None:
        self.records.append(glance)


class Progress:
    """A callback that shows a tqdm bar (the extra ``progress``): fits done, and where the running ones stand.

    Raises:
        ModuleNotFoundError: tqdm is not installed.
    """

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ModuleNotFoundError as error:
            if error.name.partition(".")[0] != "tqdm":
                raise
            words = "jaxgmm.Progress needs tqdm: pip install tqdm"
            raise ModuleNotFoundError(words, name="tqdm") from None
        self._tqdm, self._bar = tqdm, None

    def __call__(self, glance: Glance) -> None:
        if self._bar is None:
            self._bar = self._tqdm(total=glance.fits, unit="fit")
        self._bar.n = glance.fits_done
        self._bar.set_postfix_str(_words(glance))
        if glance.fits_done == glance.fits:
            self.close()

    def close(self) -> None:
        """End the bar; it ends by itself when all fits are done. The next glance opens a new one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def print_line(glance: Glance):
    """The callback of ``verbose=1``: a line on standard output."""
    print(f"jaxgmm: {glance.fits_done} of {glance.fits} fits done, {_words(glance)}", file=sys.stdout, flush=True)


def _words(glance: Glance) -> str:
    rate = "" if glance.rows is None else f", {glance.rows_per_second:.3g} rows/s"
    return f"iteration {glance.iteration}, log-likelihood {glance.log_likelihood:.6g}, gain {glance.gain:.2g}{rate}"

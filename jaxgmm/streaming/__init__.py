"""Fits of rows that stream: what `measuring`, `starting` and `restarts` do in memory, by passes over a `Flow`.

    survey    the frame, and the facts about rows and weights
    begin     where lanes begin
    loop      EM, a pass an E-step

A pass serves all lanes that still run. Before the first update there are five at most: two for the frame, one for what
the moment form leaves out, one for the rows that stand for all, one for the first statistics.
"""

from .begin import begin, begin_at, head
from .loop import certainties, solve
from .survey import Census, checked, measure

__all__ = ["Census", "begin", "begin_at", "certainties", "checked", "head", "measure", "solve"]

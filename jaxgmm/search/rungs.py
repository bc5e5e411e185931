"""Two rungs for many rows: all starts run to their ends on a sample of the rows, then the best of them on all rows."""

import dataclasses

from ..checks import in_trace
from ..init import states, streamed_states, subsample
from ..init.draws import SAMPLE_KEY, Start
from ..numerics import platforms
from ..numerics.compiling import compiled
from ..numerics.host import hosted
from ..numerics.keys import fold_in, here
from .problem import Problem


def with_sample(problem: Problem, start: Start) -> Problem:
    """The problem with a sample of its rows, if these are so many that passes over them cost more than compiling for
    the sample's size. Rows on an accelerator or a mesh are never sampled."""
    rows, limits = problem.rows, problem.limits
    named = isinstance(start.init, str) and problem.search == "pruned"
    if not named or in_trace(rows, limits) or float(limits.tol) == 0 or int(limits.max_iter) == 0:
        return problem
    spread = rows.mesh if problem.streams else rows.layout
    if spread is not None or not (problem.streams or hosted() or platforms.on_cpu()):
        return problem
    size = subsample.enough_to_fit(problem.family.moments, rows.d, start.k)
    if subsample.stretches(rows.n_everywhere, size)[1] == 1:
        return problem
    draw = streamed_states.sample if problem.streams else subsample.sample if hosted() else _sample
    some = draw(fold_in(here(start.key), SAMPLE_KEY), rows, size)
    if not subsample.has_distinct(some, start.k):
        return problem
    tries = start.draws - start.r + 1
    return dataclasses.replace(problem, sample=some, tries=tries if start.r < tries else 1)


def begun(problem: Problem, start: Start):
    """First lanes of starts that are drawn, on the rows of the first rung. On a sample, if the starts are few, also a
    lane for each try of the first start."""
    rows = problem.rungs[0].cut(problem.family.moments, start.active.size, start.r)
    start = dataclasses.replace(start, runs_tries=problem.tries > 1)
    problem = dataclasses.replace(problem, rows=rows, sample=None)
    return (streamed_states if problem.streams else states).begin(problem, start)


_sample = compiled("size")(subsample.sample)

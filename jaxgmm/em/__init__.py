"""EM itself: its two steps, updates and the rules by which they stop, and the loop that repeats them.

    steps       E-step and M-step on blocks of rows
    state       where a fit stands between two E-steps, and what it runs under
    stopping    rules: Aitken's estimate, the change of the log-likelihood
    update      plain EM
    squarem     the same, accelerated
    online      stepwise EM: an update a block of rows
    loop        many lanes at once, over rows of any kind

Source: Dempster, Laird and Rubin (1977).
"""

from .state import (
    LOSS_LIMIT,
    LOSSY,
    NEVER,
    RUNNING,
    Limits,
    Method,
    State,
    Task,
    Update,
    going,
    initial_state,
    resume_accurately,
    resume_in_another_dtype,
    started_again,
)
from .steps import Expected, expect, gathered, maximise, normalise, posterior, shifted, supported
from .stopping import AITKEN, CHANGE, DIGITS, FALL
from .update import PLAIN, step

"""EM itself: its two steps, one update with the stopping rule, and the loop that repeats it.

    steps       E-step and M-step on blocks of rows
    stopping    judge a candidate by its statistics, then make the next
    squarem     the same, accelerated
    loop        many lanes at once, over rows of any kind

Source: Dempster, Laird and Rubin (1977).
"""

from .steps import Expected, expect, maximise, normalise, shifted, supported
from .stopping import (
    FALL,
    LOSS_LIMIT,
    LOSSY,
    NEVER,
    PLAIN,
    RUNNING,
    Limits,
    Method,
    State,
    Task,
    advance,
    going,
    initial_state,
    noise_of,
    resume_accurately,
    step,
)

"""What ``verbose`` prints, in scikit-learn's words."""

import time


class Narrator:
    """Tells of one start: 1 names the start, every ``interval``-th iteration and the end; 2 adds times and changes."""

    def __init__(self, start: int, verbose: int, interval: int):
        print(f"Initialization {start}")
        self.verbose, self.interval, self.told = verbose, interval, 0
        self.began = self.last = time.perf_counter()

    def saw(self, bounds: list):
        """All bounds so far."""
        now = time.perf_counter()
        for iteration in range(self.told + self.interval, len(bounds) + 1, self.interval):
            change = bounds[iteration - 1] - bounds[iteration - 2] if iteration > 1 else float("inf")
            more = f"\t time lapse {now - self.last:.5f}s\t ll change {change:.5f}" if self.verbose > 1 else ""
            print(f"  Iteration {iteration}{more}")
            self.told, self.last = iteration, now

    def ended(self, bound: float, converged: bool):
        lapse = time.perf_counter() - self.began
        more = f" time lapse {lapse:.5f}s\t lower bound {bound:.5f}." if self.verbose > 1 else ""
        print(f"Initialization {'converged' if converged else 'did not converge'}.{more}")

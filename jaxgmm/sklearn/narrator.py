"""What ``verbose`` prints, in scikit-learn's words."""

import time


class Narrator:
    """Prints the course of one start: with ``verbose=1`` its number, every ``interval``-th iteration and its end; with
    2 also times and changes of the bound."""

    def __init__(self, start: int, verbose: int, interval: int):
        print(f"Initialization {start}")
        self.verbose, self.interval, self.printed = verbose, interval, 0
        self.began = self.last = time.perf_counter()

    def update(self, bounds: list):
        """Print the iterations that are new; ``bounds`` are all so far."""
        now = time.perf_counter()
        for iteration in range(self.printed + self.interval, len(bounds) + 1, self.interval):
            change = bounds[iteration - 1] - bounds[iteration - 2] if iteration > 1 else float("inf")
            more = f"\t time lapse {now - self.last:.5f}s\t ll change {change:.5f}" if self.verbose > 1 else ""
            print(f"  Iteration {iteration}{more}")
            self.printed, self.last = iteration, now

    def end(self, bound: float, converged: bool):
        lapse = time.perf_counter() - self.began
        more = f" time lapse {lapse:.5f}s\t lower bound {bound:.5f}." if self.verbose > 1 else ""
        print(f"Initialization {'converged' if converged else 'did not converge'}.{more}")

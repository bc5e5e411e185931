"""Many starts on their way to one result.

    problem            options and rows, checked and framed
    stages             starts in the moment form, then those that need it in the accurate one
    streamed_stages    the same of rows that stream
    pruning            which starts go on
    ranking            how a start stands, and which of them wins
    repeats            rows that are equal, where they make a start collapse
    callbacks          a host between two runs: progress, Ctrl-C
    checkpoints        a search on disk: identity and digests say whose it is
"""

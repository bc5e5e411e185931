"""From many starts to one result.

loading            options and rows, checked and framed
problem            rows, frame, prior and limits of a fit; one run of its starts
stages             a search as a value, and its next run
rungs              of many rows a sample is searched first
finalists          which starts continue from the sample to all rows
pruning            which starts continue after a pause
driver             the loop on the host; callbacks and the checkpoint observe it
ranking            how a start stands, and the best start of every fit
repeats            rows that are equal, where they make a start collapse
callbacks          what a callback sees, and callbacks that are ready
checkpoints        a search on disk: identity and digests say whose it is
"""

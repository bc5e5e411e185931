"""From many starts to one result.

loading            options and rows, checked and framed
problem            what is to be fitted, and one run of the starts
stages             a search as a value, and what follows on what
rungs              many rows: a sample before all
finalists          which starts go from one to the other
pruning            which starts go on
driver             the loop on the host, which callbacks and the checkpoint look into
ranking            how a start stands, and which of them wins
repeats            rows that are equal, where they make a start collapse
callbacks          what a callback sees, and callbacks that are ready
checkpoints        a search on disk: identity and digests say whose it is
"""

"""Rows: where they come from, the frame they are seen in, and sums over them. Knows no EM.

sources streams readers parts          rows and weights read block by block, or whole, from files and from Python
text dialects fields headers           tables of text
archives files                         NumPy's files, and files written whole or not at all
pick remarks                           which columns are taken, and what is said of them
frame                                  the units and the origin in which a family sees its rows
padding                                few sizes for any number of rows: few programs
arrays                                 rows on a device, summed block by block
host                                   the same in NumPy
mesh                                   the same, each device over its own
out_of_core                            rows that a host reads block by block
route                                  whether a call runs in NumPy or compiled
summary streamed_summary               what is known of rows before a fit, in memory and by passes
codes                                  the codes that a categorical feature takes
"""

"""Rows of data: read from files and arrays, shifted and scaled, and summed over in blocks. No EM here.

sources streams parts                  rows and weights from arrays, files and iterables, read block by block
readers                                files read whole
formats text dialects fields headers   files by their endings; tables of text
archives files                         NumPy's files; files written whole or not at all
pick remarks                           which columns are taken, and the warnings about them
frame                                  data centred and scaled, and parameters moved with them
padding                                rows filled up to few sizes, so that few programs are compiled
arrays                                 sums over blocks of rows on a device
host                                   sums over blocks of rows in NumPy
mesh                                   sums over rows on several devices
out_of_core                            sums over rows read block by block
route                                  whether a call runs in NumPy or compiled
summary streamed_summary               facts about rows before a fit: of rows in memory, and of streams
codes                                  the integer codes that each categorical feature takes
"""

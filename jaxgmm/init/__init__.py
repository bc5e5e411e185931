"""Where EM starts.

kmeans             centres among the rows: k-means++, Lloyd, random
subsample          a sample that stands for many rows
draws              what is drawn for each start, from the rows or from the sample
tries              the likeliest of several draws of a start
states             first states of many starts, from centres, responsibilities or a mixture
streamed_states    the same for rows that stream, by passes over them
"""

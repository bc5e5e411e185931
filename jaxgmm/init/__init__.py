"""Where EM starts.

kmeans             centres among the rows: k-means++, Lloyd, random
subsample          some rows that stand for many
states             centres, responsibilities or a mixture become the first states of many starts
streamed_states    the same of rows that stream, by passes over them
"""

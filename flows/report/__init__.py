"""`mqpipe report`: one page of plots from Parquet files of any size.

The way of the data: `samples` finds the files, `summary` brings them down to a bounded number of
points, `plots` says what is drawn of these, `page` writes it by `flows.drawing`.
"""

"""`mqpipe export --format tsb-ad|nab`: a simulated fleet as a benchmark that the field reads.

`command` exports the samples and has them written; `series` gives each entity's series with its
labels; `tsb_ad` and `nab` know the two forms; `card` describes the data in words.
"""

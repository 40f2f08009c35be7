"""The search index of a log: what it has of each entry, and how a query is answered from it.

An entry goes into the index in these steps. `indexer` finds how far the index reaches. `builder` reads the entries that
follow, as `verified` found them to be leaves of the tree, and asks `fields` for their terms. `postings` sorts the
postings and cuts them into blocks, in the `format` of the index. The store seals the blocks as a run. `merging` joins
the last runs to a larger one.

A query goes the other way. `indexer` gives a view: the runs, and the last entries as one more run in memory. `search`
asks for the items that have all terms and lie in all times: `streams` read postings, `tables` turn times into places,
both through a `reader` that opens each block once. `queries` reads the entries at the places that were found, compares
each with its leaf hash in the index, and returns rows.

The index may be deleted at any time. It is never the only place of a fact, and never what an answer rests on alone.
Only `indexer` and `queries` know the store of the log; no module imports SQLAlchemy.
"""

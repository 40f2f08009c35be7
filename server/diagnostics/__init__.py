"""The services of diagnostics: one servicer for each service of the contract, and the jobs behind them.

`terms`, `notices`, `attestations`, `captures`, `probes` and `usage` are the servicers, over the small base in `rpc`.
`recorded_changes` commits a decision of the policy, a change and its entries as one append. `mail_jobs` and
`probe_jobs` run in the background and record their results even if the caller disconnects. `messages` translates
between the contract and the records. `assembly` builds everything from settings and storage.
"""

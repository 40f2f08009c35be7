"""The door of diagnostics: DiagnosticsService, what it needs put together, and the places that the operator states.

The service is one class in four files, each adding to the one before: `customer` terms and notices, `attesting`
attestations, `sessions` the way of a capture, `findings` what came of it. `steps` is how policy, desk and log come
together, `words` translates between the contract and the records.
"""

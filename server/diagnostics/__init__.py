"""The door of diagnostics: DiagnosticsService, what it needs put together, and the places that the operator states.

The service is one class in five files, each adding to the one before: `customer` terms, `notices` what users are told,
`attesting` attestations, `captures` the way of a capture, `service` what came of it. `recorder` is how policy, desk and
log come together, `mail_jobs` lets mails leave whoever waits for them, `words` translates between the contract and the
records.
"""

"""Diagnostics: packet captures and probes that need notice, attestation and approval.

The customer enables diagnostics and publishes a notice. An administrator of the customer attests that users received
it. A capture is requested for one case, approved by a second person, started, stopped, sealed, read by named readers
and deleted on time. Each operation is a `Change`: log entries and the record changes that they report. Both are
appended together or not at all. The policy is not asked in this package. The caller has asked it, and appends that
decision with the change.

Some rules hold whatever the policy says. A person of another tenant never enables diagnostics, publishes a notice,
attests or approves. A person never approves a capture that they requested.

`packets` is the process that holds the raw socket. `analysis` reads its evidence. `probes` ask a device instead of
capturing. Personal values and selectors are sealed under a person's key before they reach the database or the log.
"""

"""Who was told: diagnoses that nobody can start in the dark.

The customer enables diagnostics, publishes a notice, and its own administrator attests that users were told. A capture
is requested for one case, approved by a second person, started, stopped, sealed, read by named people, deleted on
time. Each step is made here as a `Change`: the entries of the log and the change of state they report, which are
appended together or not at all. What the policy says of a person is not asked here: whoever calls has asked it before,
and appends that decision with the step.

What does not depend on the policy is decided here, and no policy can change it: a person of another tenant never
enables, notifies, attests or approves, and nobody approves what they asked for.

`capture` is the process that holds the raw socket, `analysis` reads what it made, `probes` asks instead of capturing.
Personal values and selectors are sealed under a person's key before they reach the database or the log.
"""

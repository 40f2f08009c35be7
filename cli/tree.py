"""The tree of commands: the module of each, its name there, and the first sentence of its help.

A command is added in this table only. The table imports no command, so that help is quick.
"""

from linewarden.cli.lazy_group import CommandEntry, Entry, GroupEntry

_AUDIT: dict[str, Entry] = {
    "query": CommandEntry("audit.query", "query", "Find entries, complete up to the last request that was answered."),
    "entry": CommandEntry("audit.entry", "entry", "Read the entry at INDEX with the proof that it is in the log."),
    "checkpoint": CommandEntry("audit.checkpoint", "checkpoint", "Read a signed checkpoint."),
    "export": CommandEntry(
        "audit.export", "export", "Write the log into FOLDER, as files that anyone can verify without the server."
    ),
    "verify": CommandEntry(
        "audit.verify", "verify", "Verify the exported log in FOLDER, offline, with the verifier key alone."
    ),
}

_CAPTURE: dict[str, Entry] = {
    "request": CommandEntry("capture.request", "request", "Ask for a capture for one case."),
    "approve": CommandEntry("capture.steps", "approve", "Approve a capture that another person asked for."),
    "reject": CommandEntry("capture.steps", "reject", "Refuse a capture for good, before it runs."),
    "start": CommandEntry("capture.steps", "start", "Start an armed capture."),
    "import": CommandEntry(
        "capture.import_file", "import_file", "Start an armed capture on the capture FILE, and wait for its evidence."
    ),
    "pause": CommandEntry(
        "capture.steps",
        "pause",
        "Pause a running capture: it takes no packets until it is resumed, and its time goes on.",
    ),
    "resume": CommandEntry("capture.steps", "resume", "Resume a paused capture."),
    "stop": CommandEntry("capture.steps", "stop", "Stop a running capture."),
    "delete": CommandEntry("capture.steps", "delete", "Delete the evidence of a capture before its time."),
    "list": CommandEntry("capture.records", "list_captures", "List all captures, the newest first."),
    "show": CommandEntry("capture.records", "show", "Show one capture: its request, its course and its evidence."),
    "watch": CommandEntry(
        "capture.records", "watch", "Print the counters of a capture, a line a second, until it ends."
    ),
    "fetch": CommandEntry("capture.evidence", "fetch", "Fetch the sealed evidence into FILE."),
    "open": CommandEntry(
        "capture.evidence", "open_evidence", "Fetch the evidence, open it into FILE, and compare it with the record."
    ),
    "verify": CommandEntry("capture.evidence", "verify", "Compare the sealed FILE with the record of a capture."),
    "analyse": CommandEntry(
        "capture.analyse", "analyse", "Report the calls, registrations and streams in the opened FILE."
    ),
}

_DIAGNOSTICS: dict[str, Entry] = {
    "enable": CommandEntry(
        "diagnostics.terms", "enable", "Permit captures and probes for a tenant, or change the terms."
    ),
    "disable": CommandEntry("diagnostics.terms", "disable", "Forbid captures and probes."),
    "status": CommandEntry(
        "diagnostics.terms", "status", "Show the terms on which captures and probes are permitted, if they are."
    ),
    "publish": CommandEntry("diagnostics.notices", "publish", "Publish the notice NOTICE_ID."),
    "notices": CommandEntry("diagnostics.notices", "notices", "List the notices in their current versions."),
    "notice": CommandEntry(
        "diagnostics.notices",
        "notice",
        "Show the text of the notice NOTICE_ID, in the current version or an earlier one.",
    ),
    "active": CommandEntry(
        "diagnostics.notices", "active", "Show the captures that run now, and the texts of their notices."
    ),
    "confirm": CommandEntry(
        "diagnostics.notices", "confirm", "Confirm that you read version VERSION of the notice NOTICE_ID."
    ),
    "receipts": CommandEntry(
        "diagnostics.receipts",
        "receipts",
        "Record the persons who received a notice, from FILE: CSV with the columns person, fact and at.",
    ),
    "send": CommandEntry(
        "diagnostics.receipts",
        "send",
        "Send a notice by mail to the persons in FILE: CSV with the columns person and address.",
    ),
    "attest": CommandEntry(
        "diagnostics.attestations",
        "attest",
        "Attest the statement in FILE: an AttestationStatement as JSON, with the names of the contract.",
    ),
    "withdraw": CommandEntry("diagnostics.attestations", "withdraw", "Withdraw an attestation."),
    "attestations": CommandEntry("diagnostics.attestations", "attestations", "List attestations, the newest first."),
    "probe": CommandEntry("diagnostics.probe", "probe", "Ask TARGET a question instead of capturing."),
}

_ITEMS: dict[str, Entry] = {
    "asterisk": CommandEntry(
        "connectors.asterisk", "asterisk", "Print the call records and recordings of an Asterisk."
    ),
}

_KEY: dict[str, Entry] = {
    "create": CommandEntry("key", "create", "Create a key for CALLER and print it."),
    "list": CommandEntry("key", "list_keys", "List all keys, also revoked ones, without their secrets."),
    "revoke": CommandEntry("key", "revoke", "Revoke the key ID."),
}

_POLICY: dict[str, Entry] = {
    "lint": CommandEntry("policy.lint", "lint_files", "Check policy FILES without a server."),
    "load": CommandEntry("policy.load", "load", "Replace the policy of a tenant by FILE, as a whole or not at all."),
    "show": CommandEntry(
        "policy.show",
        "show",
        "Show the policy of a tenant as the statements of a policy file, without its assignments.",
    ),
}

_ASSIGNMENTS: dict[str, Entry] = {
    "load": CommandEntry(
        "policy.assignments",
        "load_assignments",
        "Replace the assignments of a tenant by FILE, as a whole or not at all.",
    ),
    "show": CommandEntry(
        "policy.show", "show_assignments", "Show the assignments of a tenant as the statements of a file."
    ),
}

_TENANT: dict[str, Entry] = {
    "create": CommandEntry("tenant", "create", "Create the tenant NAME."),
    "list": CommandEntry(
        "tenant", "list_tenants", "List all tenants with the size of their logs and the revision of their policies."
    ),
    "policy": CommandEntry(
        "tenant",
        "change_of_policy",
        "Replace the policy of the tenant NAME by FILE, or change single statements of it.",
    ),
}

_USAGE: dict[str, Entry] = {
    "share": CommandEntry("usage", "share", "Share anonymous counts, or stop sharing them."),
    "show": CommandEntry("usage", "show", "Print the document that would be sent, byte for byte."),
}

_WORKER: dict[str, Entry] = {
    "enrol": CommandEntry("worker.enrol", "enrol_worker", "Make the FOLDER of a worker called NAME."),
    "run": CommandEntry(
        "worker.run", "run", "Connect to the servers that FOLDER names, and run captures until SIGTERM or SIGINT."
    ),
}

#: All commands of `linewarden`.
COMMANDS: dict[str, Entry] = {
    "init": CommandEntry(
        "serve",
        "init",
        "Make FOLDER a service of your own: settings, keys, development certificates, a tenant with a first policy.",
    ),
    "serve": CommandEntry("serve", "serve", "Serve until SIGTERM or SIGINT."),
    "housekeep": CommandEntry(
        "serve", "housekeep", "Index and sign the logs, and write their heartbeats.", hidden=True
    ),
    "key": GroupEntry("Create, list and revoke the API keys of callers.", _KEY),
    "tenant": GroupEntry("Create and list tenants, and change a policy that permits no person to change it.", _TENANT),
    "worker": GroupEntry("Enrol and run capture workers of other hosts.", _WORKER),
    "recover": CommandEntry(
        "recover",
        "recover_command",
        "Show the logs that are older than they were seen before, or accept them as they are.",
    ),
    "check": CommandEntry(
        "check", "check", "Ask whether a person may do VERB with the item ID of TYPE, or with each item of a file."
    ),
    "items": GroupEntry("Print what a PBX keeps as items with participants, a line of JSON each.", _ITEMS),
    "policy": GroupEntry("Check, load and show policies.", _POLICY),
    "assignments": GroupEntry("Load and show who held which address from when until when.", _ASSIGNMENTS),
    "audit": GroupEntry("Read and verify the log of all access. Every read is itself an entry.", _AUDIT),
    "diagnostics": GroupEntry(
        "Permit captures and probes, inform users, and attest that they were informed.", _DIAGNOSTICS
    ),
    "capture": GroupEntry("Request, approve, run and read packet captures.", _CAPTURE),
    "usage": GroupEntry("Share anonymous counts, and show them.", _USAGE),
}

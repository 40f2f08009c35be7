"""The demonstration on an Asterisk tree, from the first check to the verified log: `make demo`.

It generates the calls of a small company, starts the real server, asks it for several people, and shows who was allowed
and why. It reads the log as the auditor and captures a call with a fault. It exports the log, verifies the export
without the server, changes one byte, and verifies again. The exit code is 0 only if every expected result came.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

import grpc
from acme import (
    ALICE,
    ALICE_WITHOUT_PURPOSE,
    BOB,
    CAROL,
    DOMAIN,
    ERIK,
    INES,
    MALLORY,
    POLICY,
    TENANT,
    Person,
)
from demo_capture import capture_a_fault, state_places
from rich.table import Table
from spool_generator import generate
from spool_item import Item
from spool_reader import read_tree, split
from stage import DEADLINE_S, FOLDER, Findings, Site, command, connected, console

from linewarden.client import Question
from linewarden.server.names import EFFECTS, OBLIGATIONS, TYPE_NUMBERS, VERB_NUMBERS
from linewarden.v1 import access_pb2, audit_pb2, core_pb2
from linewarden.v1.audit_pb2_grpc import AuditServiceStub

SEED = 7
_EPOCH = datetime.fromtimestamp(0, UTC)
BATCH = 500

#: The persons who ask, by the heads of the table.
PEOPLE = {
    "bob": BOB,
    "carol": CAROL,
    "alice": ALICE,
    "alice*": ALICE_WITHOUT_PURPOSE,
    "ines": INES,
    "erik": ERIK,
    "mallory": MALLORY,
}

ASKED = (
    ("recording", "play"),
    ("recording", "download"),
    ("voicemail", "play"),
    ("voicemail", "delete"),
    ("fax", "download"),
    ("cdr", "view_metadata"),
)
#: Words for readers who see the demonstration for the first time.
WISHES = {"view_metadata": "see"}
ITEMS = {"cdr": "call record"}


@dataclass(frozen=True)
class Answer:
    """One decision and the question that it answers."""

    person: Person
    verb: str
    item: Item
    effect: str
    reason: str
    why: str


def main() -> int:
    """Run the demonstration; return the exit code."""
    findings = Findings()
    shutil.rmtree(FOLDER, ignore_errors=True)
    items = make_company(FOLDER / "asterisk")
    service = FOLDER / "service"
    command("init", str(service), "--tenant", TENANT, "--policy", str(POLICY))
    with running_server(service) as address, connected(service, address) as site:
        answers = ask(site, items)
        show_answers(answers)
        check_answers(answers, findings)
        read_log(site, answers, findings)
        capture_a_fault(site, findings)
        export_and_verify(site, findings)
    console.rule("[bold]done" if not findings.failed else "[bold red]some expectations failed")
    console.print(f"The service's folder is {os.path.relpath(service)}. `make run` makes a service that you can keep.")
    return 1 if findings.failed else 0


def make_company(folder: Path) -> Sequence[Item]:
    """Make the calls of a small company and read them as any Asterisk tree is read.

    The owners are the ids of the persons, which the company takes from their addresses.
    """
    console.rule("[bold]The calls of a small company")
    now = datetime.now(UTC).replace(microsecond=0)
    generate(folder, seed=SEED, now=now)
    items, problems = split(read_tree(folder))
    counts = Counter(ITEMS.get(item.type, item.type) for item in items)
    console.print("  After 120 days of calls, the company's Asterisk server holds these files and records:")
    console.print(
        "  " + ", ".join(f"{count} {type}s" for type, count in sorted(counts.items())).replace("faxs", "faxes")
    )
    for problem in problems:
        console.print(f"  [yellow]skipped:[/] {problem.text}")
    return [replace(item, owner=item.owner.removesuffix(DOMAIN)) for item in items]


@contextmanager
def running_server(service: Path) -> Iterator[str]:
    """Run the real server with TLS on a free port; end it by SIGTERM, as an operator does."""
    environment = os.environ | {"LINEWARDEN_LISTEN": "localhost:0", "LINEWARDEN_CAPTURE_MIN_DISK_FREE": "0"}
    environment["LINEWARDEN_PLACES_FILE"] = str(state_places(FOLDER))
    call = [sys.executable, "-m", "linewarden.cli", "serve", "--config", str(service / "linewarden.toml")]
    with (FOLDER / "server.log").open("w+") as log:
        server = subprocess.Popen(call, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            yield wait_for_address(server, log)
        finally:
            server.terminate()
            _, rest = server.communicate(timeout=30)
            log.write(rest)


def wait_for_address(server: "subprocess.Popen[str]", log: TextIO) -> str:
    """Read the server's messages up to the one with its address; return the address."""
    for line in server.stderr or ():
        log.write(line)
        if match := re.search(r"serving on (\S+:\d+)", line):
            console.print(f"  Linewarden runs beside it: TLS on {match[1]}, SQLite, process {server.pid}\n")
            return match[1]
    raise SystemExit(f"the server did not start; see {FOLDER / 'server.log'}")


def ask(site: Site, items: Sequence[Item]) -> list[Answer]:
    """Ask for every person about every item, in batches."""
    asked = [
        (person, verb, item)
        for person in PEOPLE.values()
        for type, verb in ASKED
        for item in items
        if item.type == type
    ]
    answers: list[Answer] = []
    with site.client() as client:
        for start in range(0, len(asked), BATCH):
            part = asked[start : start + BATCH]
            decisions = client.check_batch(
                [question(*one) for one in part], timeout_s=DEADLINE_S, request_id=f"demo-{start}"
            )
            for one, decision in zip(part, decisions, strict=True):
                answers.append(Answer(*one, decision.effect, decision.reason, explanation(decision.message)))
    return answers


def question(person: Person, verb: str, item: Item) -> Question:
    """Return the question whether a person may use an item."""
    return Question(
        person.full,
        verb,
        item.type,
        item.id,
        owner=item.owner,
        queue=item.queue,
        parties=tuple(item.parties),
        labels=item.labels,
        created_at=None if item.created_us is None else _EPOCH + timedelta(microseconds=item.created_us),
        purpose=person.purpose,
        case=person.case,
        zone=person.zone,
    )


def explanation(decision: access_pb2.Decision) -> str:
    """Return the reason of a decision in a few words."""
    parts = [f"rule {rule.rule_id} via {' > '.join(rule.role_path[1:]) or 'itself'}" for rule in decision.matched_rules]
    parts += [f"not met: {failed.condition}" for failed in decision.failed_conditions]
    parts += [f"must {OBLIGATIONS[one].value}" for one in decision.obligations]
    return "; ".join(dict.fromkeys(parts)) or "no rule applies"


def wish(verb: str, type: str) -> str:
    """Return the action that a person asks for, in words."""
    return f"{WISHES.get(verb, verb)} a {ITEMS.get(type, type)}"


def table_of(*titles: str) -> Table:
    """Return a table that keeps to the width of a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def show_answers(answers: Sequence[Answer]) -> None:
    """Show the number of items that each person may use, and examples with their reasons."""
    console.rule("[bold]Decisions: who may do what")
    console.print("  A backend asks Linewarden about every item, on behalf of each of these people:\n")
    for name, person in PEOPLE.items():
        console.print(f"    {name:8} {person.what}")
    console.print("\n  The number of items that each person may …\n")
    counts = table_of("", "all", *PEOPLE)
    for column in counts.columns[1:]:
        column.justify = "right"
    for type, verb in ASKED:
        asked = [a for a in answers if (a.item.type, a.verb) == (type, verb)]
        allowed = [sum(a.effect == "allow" for a in asked if a.person is person) for person in PEOPLE.values()]
        cells = [f"[{'green' if count else 'red'}]{count}[/]" for count in allowed]
        counts.add_row(f"  {wish(verb, type)}", str(len(asked) // len(PEOPLE)), *cells)
    console.print(counts)
    console.print("\n  Each answer states its reason. One example of each kind:\n")
    examples = table_of("  person", "asks to", "answer", "why")
    names = {person: name for name, person in PEOPLE.items()}
    for answer in one_of_each(answers):
        colour = "green" if answer.effect == "allow" else "red"
        asked_to = wish(answer.verb, answer.item.type)
        examples.add_row(f"  {names[answer.person]}", asked_to, f"[{colour}]{answer.effect}[/]", answer.why)
    console.print(examples)
    console.print()


def one_of_each(answers: Sequence[Answer]) -> Iterator[Answer]:
    """Yield one example for each person, effect and reason."""
    seen = set()
    for answer in answers:
        kind = (answer.person.what, answer.effect, answer.reason)
        if kind not in seen:
            seen.add(kind)
            yield answer


def check_answers(answers: Sequence[Answer], findings: Findings) -> None:
    """Check the answers that the policy must give for this company."""

    def effects(person: Person, verb: str, type: str, **wanted: str) -> set[str]:
        return {
            a.effect
            for a in answers
            if a.person is person
            and (a.verb, a.item.type) == (verb, type)
            and all(getattr(a.item, name) == value for name, value in wanted.items())
        }

    mine, sales = {"owner": BOB.name}, {"queue": "sales"}
    findings.expect(effects(BOB, "play", "voicemail", **mine) == {"allow"}, "bob may play every message in his mailbox")
    findings.expect(effects(CAROL, "play", "voicemail", **mine) == {"deny"}, "his colleague may play none of them")
    findings.expect(
        "allow" in effects(ALICE, "play", "recording", **sales), "the supervisor may play recordings of her queue"
    )
    findings.expect(
        not any(
            a.effect == "allow" and a.item.queue == "sales" and a.item.owner != ALICE_WITHOUT_PURPOSE.name
            for a in answers
            if a.person is ALICE_WITHOUT_PURPOSE and (a.verb, a.item.type) == ("play", "recording")
        ),
        "without a stated purpose she may play none of them",
    )
    findings.expect(
        effects(INES, "view_metadata", "cdr") == {"allow"},
        "partner support may see call records, with numbers masked",
    )
    findings.expect(effects(INES, "play", "recording") == {"deny"}, "partner support may play no recording")
    findings.expect(effects(ERIK, "play", "recording") == {"deny"}, "the auditor may play no recording")
    unknown = {a.effect for a in answers if a.person is MALLORY}
    findings.expect(unknown == {"deny"}, "a person whom the policy does not name may do nothing")


def read_log(site: Site, answers: Sequence[Answer], findings: Findings) -> None:
    """Read the log as the auditor, and check that it holds every answer."""
    stub, metadata = AuditServiceStub(site.channel), site.metadata
    console.rule("[bold]The audit log: who did what")
    rows: list[audit_pb2.EntryRow] = []
    request = audit_pb2.QueryEntriesRequest(
        header=core_pb2.RequestHeader(tenant=TENANT, subject=ERIK.subject()),
        filter=audit_pb2.EntryFilter(kinds=["decision"]),
        page_size=1_000,
        oldest_first=True,
    )
    while True:
        page = stub.QueryEntries(request, metadata=metadata, timeout=DEADLINE_S)
        rows += page.rows
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    table = table_of("  entry", "time", "who", "wanted to", "of", "answer")
    for row in rows[:: max(1, len(rows) // 8)]:
        verb = next(word for word, number in VERB_NUMBERS.items() if number == row.verb)
        wanted = wish(verb, next(word for word, number in TYPE_NUMBERS.items() if number == row.resource_type))
        who, owner = row.subject, row.owner or "no known owner"
        time = row.time.ToDatetime().strftime("%H:%M:%S")
        table.add_row(f"  {row.index}.{row.item}", time, who, wanted, owner, EFFECTS[row.effect].value)
    console.print("  Linewarden records each answer before it sends it. The auditor reads some of them:\n")
    console.print(table)
    console.print(f"  … {len(rows)} decisions in all\n")
    logged = Counter((row.subject, row.resource_id, EFFECTS[row.effect].value) for row in rows)
    given = Counter((a.person.full, a.item.id, a.effect) for a in answers)
    findings.expect(
        logged == given, f"the log holds exactly the {len(answers)} answers that Linewarden gave, by person and item"
    )
    stranger = audit_pb2.QueryEntriesRequest(header=core_pb2.RequestHeader(tenant=TENANT, subject=CAROL.subject()))
    try:
        stub.QueryEntries(stranger, metadata=metadata, timeout=DEADLINE_S)
        findings.expect(holds=False, promise="a colleague may not read the log")
    except grpc.RpcError as error:
        findings.expect(error.code() is grpc.StatusCode.PERMISSION_DENIED, "a colleague may not read the log")
    reads = audit_pb2.EntryFilter(kinds=["audit.read"])
    page = stub.QueryEntries(
        audit_pb2.QueryEntriesRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=ERIK.subject()), filter=reads
        ),
        metadata=metadata,
        timeout=DEADLINE_S,
    )
    denied = [row for row in page.rows if EFFECTS[row.effect].value == "deny"]
    findings.expect(
        len(denied) == 1 and len(page.rows) > 1, "the log records the refused attempt and every successful read"
    )


def export_and_verify(site: Site, findings: Findings) -> None:
    """Export the log, verify it offline, change one byte, and see the verification fail."""
    console.rule("[bold]Verification without the server")
    export = FOLDER / "export"
    key = command("audit", "export", str(export), *site.options(ERIK)).stdout.strip()
    console.print(f"  The auditor exports the log to {os.path.relpath(export)}. Anyone with these files and the")
    console.print("  public key can verify the log, without the server and without trusting it.\n")
    verified = command("audit", "verify", str(export), "--verifier-key", key, check=False)
    findings.expect(verified.returncode == 0, "the exported log verifies offline with the public key")
    bundle = min(path for path in (export / "tile/entries").rglob("*") if path.is_file())
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    bundle.write_bytes(bytes(content))
    changed = command("audit", "verify", str(export), "--verifier-key", key, check=False)
    found = changed.stderr.strip().rpartition("linewarden: ")[2] or "not found!"
    findings.expect(changed.returncode == 1, f"after one changed byte verification fails: {found}")


if __name__ == "__main__":
    sys.exit(main())

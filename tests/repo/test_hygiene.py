"""Rules for the content of every file of the project."""

import re

import pytest
from repository import ROOT, files

# Joined here, so that this file does not contain the forbidden texts.
_HOMES = ("home", "root", "work", "Users", "workspace")
_HOSTS = ("py" + r"pi\.org", "python" + "hosted", "npm" + r"js\.", "crates" + r"\.io", "proxy" + r"\.golang")
_MACHINE = re.compile("|".join(rf"(?<![\w./~-])/{folder}/\w" for folder in _HOMES))
_REGISTRIES = re.compile("|".join(_HOSTS))
_RESERVED = re.compile(r"(^|\.)(example|test|invalid)(\.(com|net|org))?$")
_ADDRESS = re.compile(r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b")

#: Files with foreign text: the vendored rules, and the code that is generated from them.
_FOREIGN = ("protos/buf/", "protos/gen/")


def _texts() -> list[tuple[str, str]]:
    texts = []
    for path in files():
        name = str(path.relative_to(ROOT))
        data = path.read_bytes()
        if b"\0" not in data and not name.startswith(_FOREIGN):
            texts.append((name, data.decode("utf-8", "replace")))
    return texts


@pytest.mark.parametrize("unwanted", [_MACHINE, _REGISTRIES], ids=["paths of a machine", "hosts of package registries"])
def test_nothing_speaks_of_one_machine(unwanted: "re.Pattern[str]") -> None:
    """No file names a path of one machine or a private place to fetch from."""
    found = [f"{name}: {match[0]}" for name, text in _texts() for match in unwanted.finditer(text)]
    assert found == []


def test_every_file_is_text_that_ends() -> None:
    """Files are UTF-8, have Unix line ends, and end in a newline."""
    wrong = []
    for path in files():
        data = path.read_bytes()
        if path.suffix in {".py", ".md", ".proto", ".toml", ".policy", ".conf", ".sh"} and data:
            data.decode("utf-8")
            if not data.endswith(b"\n") or b"\r\n" in data:
                wrong.append(str(path.relative_to(ROOT)))
    assert wrong == []


def test_the_example_policies_name_no_real_domain() -> None:
    """People in the example policies have addresses in reserved domains, so that no real mailbox is named."""
    mail = re.compile(r"[\w.+-]+@([\w-]+(?:\.[\w-]+)+)")
    for name, text in _texts():
        if name.endswith((".policy", ".md")):
            domains = {match[1] for match in mail.finditer(text)}
            assert {one for one in domains if not _RESERVED.search(one)} == set(), name


def test_documents_name_no_address_but_loopback() -> None:
    """The documents name no address except loopback."""
    found = {match[0] for name, text in _texts() if name.endswith(".md") for match in _ADDRESS.finditer(text)}
    assert {one for one in found if not one.startswith(("127.", "0.0.0.0"))} == set()


def test_kinds_of_entries_are_constants() -> None:
    """Code makes an entry by a constant of audit/entry.py or diagnostics/kinds.py, which the tests of the log know."""
    literal = re.compile(r"""\b(?:entry|encode)\(\s*f?["'][a-z_]+\.[a-z_]*["']""")
    sources = [path for path in files() if path.suffix == ".py" and not path.is_relative_to(ROOT / "tests")]
    assert [path.name for path in sources if literal.search(path.read_text(encoding="utf-8"))] == []

"""The check of rights on files with secrets, before they are read."""

import os
import stat
from pathlib import Path

import pytest

from linewarden.audit.secret_files import SecretExposed, check_secret, exposure, read_secret

_OWN_GROUP = os.getegid()
_ROOT, _OTHER = 0, 12_345


def found(mode: int, owner: int, group: int) -> os.stat_result:
    """Return the status of a file with such rights."""
    return os.stat_result((stat.S_IFREG | mode, 1, 1, 1, owner, group, 0, 0, 0, 0))


@pytest.mark.parametrize(("mode", "owner", "group"), [
    (0o600, _OTHER, _OTHER), (0o400, _OTHER, _OTHER), (0o700, _OTHER, _OTHER), (0o000, _OTHER, _OTHER),
    (0o640, _ROOT, _OWN_GROUP), (0o440, _ROOT, _OWN_GROUP), (0o600, _ROOT, _OTHER),
])  # fmt: skip
def test_what_only_its_owner_or_a_group_that_root_chose_can_read_is_read(mode: int, owner: int, group: int) -> None:
    """The reader accepts a file that only its owner, or a group that root has chosen, can read."""
    assert exposure(found(mode, owner, group)) == ""


@pytest.mark.parametrize(("mode", "owner", "group"), [
    (0o604, _ROOT, _OWN_GROUP), (0o602, _ROOT, _OWN_GROUP), (0o601, _ROOT, _OWN_GROUP), (0o644, _OTHER, _OTHER),
    (0o640, _OTHER, _OWN_GROUP), (0o640, _ROOT, _OTHER), (0o660, _ROOT, _OWN_GROUP), (0o620, _ROOT, _OWN_GROUP),
    (0o610, _OTHER, _OTHER), (0o777, _ROOT, _OWN_GROUP),
])  # fmt: skip
def test_what_others_can_read_or_change_is_refused(mode: int, owner: int, group: int) -> None:
    """The reader refuses a file that others can read, a group can write, or an unchosen group can read."""
    assert exposure(found(mode, owner, group)) != ""


def test_the_refusal_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    """The refusal names the command that repairs the file's rights, and the file is read after that command."""
    file = tmp_path / "key"
    file.write_bytes(b"secret")
    file.chmod(0o644)
    for check in (read_secret, check_secret):
        with pytest.raises(SecretExposed, match=f"chmod 600 {file}"):
            check(file)
    file.chmod(0o600)
    assert read_secret(file) == b"secret"
    check_secret(file)


def test_a_link_is_judged_by_what_it_leads_to(tmp_path: Path) -> None:
    """The reader follows links, as Kubernetes and ACME clients make them, and checks the rights of the target."""
    (tmp_path / "real").write_bytes(b"secret")
    (tmp_path / "real").chmod(0o604)
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(SecretExposed):
        read_secret(tmp_path / "link")
    (tmp_path / "real").chmod(0o400)
    assert read_secret(tmp_path / "link") == b"secret"

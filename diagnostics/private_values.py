"""Private values of records, sealed under the key of the person or tenant they belong to."""

import os
from collections.abc import Mapping, Sequence

from linewarden.audit.directory import Directory
from linewarden.audit.keyring import Person
from linewarden.diagnostics.consent_model import Secret


class PrivateValues:
    """Seals private values, and opens those that are still readable."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    @staticmethod
    def seal(key_holder: Person, values: Mapping[str, str]) -> Secret:
        """Seal the values under the key of a person or tenant."""
        sealed = key_holder.seal(values, os.urandom(28))
        return Secret(sealed.sid, sealed.ciphertext, sealed.commitment)

    def open(self, log_id: int, secret: Secret) -> dict[str, str]:
        """Return the values; empty if the key holder was erased. Reads the database.

        Raises:
            LogUnavailable: the database failed.
        """
        found = self._directory.people(log_id, [secret.sid]).get(secret.sid)
        return {} if found is None else found[0].open(secret.ct, secret.commit)

    def names(self, log_id: int, sids: Sequence[str]) -> dict[str, str]:
        """Return names by pseudonym, without erased persons. Reads the database.

        Raises:
            LogUnavailable: the database failed.
        """
        known = sorted({sid for sid in sids if sid})
        return {sid: name for sid, (_person, name) in self._directory.people(log_id, known).items()} if known else {}

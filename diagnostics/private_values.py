"""Private values of records, sealed under the key of the person or tenant they belong to."""

import os
from collections.abc import Mapping, Sequence

from linewarden.audit.directory import Directory
from linewarden.audit.keyring import Person
from linewarden.diagnostics.consent_model import Secret


class PrivateValues:
    """Seals private values, and opens what is still readable."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    @staticmethod
    def seal(key_holder: Person, values: Mapping[str, str]) -> Secret:
        """The values, sealed."""
        sealed = key_holder.seal(values, os.urandom(28))
        return Secret(sealed.sid, sealed.ciphertext, sealed.commitment)

    def open(self, log: int, secret: Secret) -> dict[str, str]:
        """The values; none if their keeper was erased. Asks the database.

        Raises:
            LogUnavailable: the database failed.
        """
        found = self._directory.people(log, [secret.sid]).get(secret.sid)
        return {} if found is None else found[0].open(secret.ct, secret.commit)

    def names(self, log: int, sids: Sequence[str]) -> dict[str, str]:
        """Names by pseudonym; erased persons are left out. Asks the database.

        Raises:
            LogUnavailable: the database failed.
        """
        wanted = sorted({sid for sid in sids if sid})
        return {sid: name for sid, (_person, name) in self._directory.people(log, wanted).items()} if wanted else {}

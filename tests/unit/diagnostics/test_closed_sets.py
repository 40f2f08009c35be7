"""The closed sets of diagnostics cover each other, so that a new member is forgotten nowhere."""

from linewarden.diagnostics.probes.__main__ import PROBES
from linewarden.diagnostics.probes.model import ProbeKind


def test_every_kind_of_probe_has_its_function() -> None:
    """The process that probes has a function for each kind, and a function of its own for each."""
    assert set(PROBES) == set(ProbeKind)
    assert len(set(PROBES.values())) == len(PROBES)

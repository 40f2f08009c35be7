"""Mean opinion score by the E-model (ITU-T G.107), only where the codec has published planning values.

R = 93.2 - Ie,eff: the default of G.107 (06/2015) with every impairment but codec and loss left out, because a capture
shows no delay from mouth to ear, no echo and no buffer of the receiver. Ie,eff is its equation 7-29, and the score its
Annex B. Nothing is said outside the ranges of its table 3: at most 20 % lost and BurstR at most 8, and BurstR above 2
only while less than 2 % is lost (note 6).

Ie and Bpl are those of ITU-T G.113 (09/2024) Appendix I, tables I.1 and I.4; the edition of 2007 has the same. Codecs
that are not in these tables get no score: AMR, iLBC, Speex, Opus and EVS. Wideband codecs get none either, though
Appendix IV knows some, AMR-WB for one: their values belong to the scale of G.107.1, which ends at R = 129, and a score
on it must not stand in one column with these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

_R_DEFAULT = 93.2
_MIN_PACKETS = 100

#: G.107 table 3 with its note 6.
_MAX_LOSS_PERCENT = 20.0
_MAX_BURST_RATIO = 2.0
_MAX_BURST_RATIO_LOW_LOSS = 8.0
_LOW_LOSS_PERCENT = 2.0

ASSUMPTIONS = "E-model with loss and codec only: no delay, no echo, no receive buffer"


class Impairment(NamedTuple):
    """Equipment impairment and robustness to loss; None if no Bpl is published."""

    ie: float
    bpl: float | None


#: Table I.4 where a Bpl stands, table I.1 where none does. G.711 twice, without and with concealment of lost packets,
#: which a capture cannot tell apart; G.729 twice for the same reason, as Annex A with silence suppression and without,
#: for which no Bpl is published. G.723.1 for 6.3 and 5.3 kbit/s, told apart by the frame's size.
_PUBLISHED: Mapping[str, tuple[Impairment, ...]] = MappingProxyType(
    {
        "PCMU": (Impairment(0, 4.3), Impairment(0, 25.1)),
        "PCMA": (Impairment(0, 4.3), Impairment(0, 25.1)),
        "G729": (Impairment(11, 19.0), Impairment(10, None)),
        "G723": (Impairment(15, 16.1),),
        "G723-5.3": (Impairment(19, None),),
        "GSM-EFR": (Impairment(5, 10.0),),
        "GSM": (Impairment(20, None),),
        "G728": (Impairment(7, None),),
        "G726-40": (Impairment(2, None),),
        "G726-32": (Impairment(7, None),),
        "G726-24": (Impairment(25, None),),
        "G726-16": (Impairment(50, None),),
    }
)

#: G.726 in the bit order of AAL2 (RFC 3551 section 4.5.4): the same codec.
_AAL2 = "AAL2-"


@dataclass(frozen=True, slots=True)
class Loss:
    """The losses of a stream, in packets; `bursts` are runs of lost packets."""

    expected: int
    lost: int
    bursts: int

    @property
    def percent(self) -> float:
        """Lost packets of a hundred expected."""
        return 100 * self.lost / self.expected if self.expected else 0.0

    @property
    def burst_ratio(self) -> float:
        """Mean length of a burst against the mean under random loss (G.107 BurstR); 1 where nothing was lost."""
        if not self.bursts:
            return 1.0
        return max(1.0, self.lost / self.bursts * (1 - self.percent / 100))


@dataclass(frozen=True, slots=True)
class Quality:
    """A score from 1 to 4.5, or the reason why it is missing.

    `mos_low` and `mos_high` differ where the basis knows more than a capture shows: concealment, silence suppression.
    """

    mos_low: float | None = None
    mos_high: float | None = None
    basis: str = ""
    reason: str = ""


def rate(codec: str | None, loss: Loss, frame_bytes: int = 0, *, capture_lost: bool = False) -> Quality:
    """The score of a stream. `frame_bytes` is the largest payload seen; it tells the rates of G.723.1 apart."""
    if codec is None:
        return Quality(reason="the codec is not known")
    if codec == "G723" and frame_bytes % 24 and not frame_bytes % 20:
        codec = "G723-5.3"
    published = _PUBLISHED.get(codec.removeprefix(_AAL2))
    if published is None:
        return Quality(reason=f"ITU-T G.113 Appendix I has no planning values for {codec}")
    reason = (
        "the capture lost packets or was paused, so the stream's own loss is not known"
        if capture_lost
        else _outside(loss)
    )
    if reason:
        return Quality(reason=reason)
    known = [impairment for impairment in published if not loss.lost or impairment.bpl is not None]
    if not known:
        return Quality(reason=f"packets were lost and no Bpl is published for {codec}")
    scores = sorted(_score(impairment, loss) for impairment in known)
    return Quality(scores[0], scores[-1], ASSUMPTIONS)


def score_interval(codec: str | None, expected: int, lost: int) -> float | None:
    """Return the better score of an interval by the same model with random loss; None outside its range.

    The least number of packets does not apply, because an interval of a second has fewer.
    """
    published = _PUBLISHED.get((codec or "").removeprefix(_AAL2), ())
    loss = Loss(expected, lost, lost)
    known = [impairment for impairment in published if not lost or impairment.bpl is not None]
    if not known or not expected or loss.percent > _MAX_LOSS_PERCENT:
        return None
    return max(_score(impairment, loss) for impairment in known)


def _outside(loss: Loss) -> str:
    """The reason why the model does not cover the loss; empty if it does."""
    if loss.expected < _MIN_PACKETS:
        return f"fewer than {_MIN_PACKETS} packets"
    if loss.percent > _MAX_LOSS_PERCENT:
        return f"more is lost than the E-model covers (above {_MAX_LOSS_PERCENT:.0f} %)"
    limit = _MAX_BURST_RATIO_LOW_LOSS if loss.percent < _LOW_LOSS_PERCENT else _MAX_BURST_RATIO
    if loss.burst_ratio > limit:
        return f"loss is burstier than the E-model covers (BurstR above {limit:.0f})"
    return ""


def _score(impairment: Impairment, loss: Loss) -> float:
    effective = impairment.ie
    if loss.lost and impairment.bpl is not None:
        effective += (95 - impairment.ie) * loss.percent / (loss.percent / loss.burst_ratio + impairment.bpl)
    return round(opinion_score(_R_DEFAULT - effective), 2)


def opinion_score(rating: float) -> float:
    """The score of a transmission rating R (G.107 Annex B)."""
    if rating <= 0:
        return 1.0
    if rating >= 100:
        return 4.5
    # The curve dips below 1 between R = 0 and 6.5.
    return max(1.0, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6)

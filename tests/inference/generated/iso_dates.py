"""Typed records of `equipe/doctors/{doctor}/slots`, inferred from 20 records.

Below a field stands how often it was there; one without a share was in all of them.
`arzamed model` widens this file where records have changed, and keeps the rest.
"""

import datetime as dt

from arzamed_async import Endpoint, NaiveDatetime
from attrs import field, frozen


@frozen(kw_only=True)
class Slot:
    """A record of `equipe/doctors/{doctor}/slots`."""

    booked_at: dt.datetime | None = field(
        metadata={"json_form": "YYYY-MM-DDThh:mm:ssZ"}
    )
    """Null in 35 % of the records."""
    date: dt.date
    free: bool
    local_start: NaiveDatetime
    slot_id: int
    starts_at: dt.datetime = field(metadata={"json_form": "YYYY-MM-DDThh:mm:ss.sssZ"})
    time: dt.time = field(metadata={"json_form": "hh:mm"})


SLOTS = Endpoint("equipe/doctors/{doctor}/slots", Slot)

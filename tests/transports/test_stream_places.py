"""Places for streams, of which nobody keeps all others out."""

from __future__ import annotations

from transports.identity import LOCAL, Identity
from transports.streamplaces import StreamPlaces

ANN, BEN = Identity("ann", "laptop", b"a"), Identity("ben", "phone", b"b")


def test_where_there_are_owners_each_gets_at_most_half() -> None:
    places = StreamPlaces("streams")
    with places.taken(ANN), places.taken(ANN):
        assert places.refusal(ANN, 4) == "2 streams of yours are open already, which is half of all"
        assert places.refusal(BEN, 4) is None
        with places.taken(BEN), places.taken(BEN):
            assert places.refusal(Identity("cem", "", b"c"), 4) == "4 streams are open already"
    assert (len(places), places.refusal(ANN, 4)) == (0, None)


def test_where_there_are_none_everybody_shares_all() -> None:
    places = StreamPlaces("streams")
    with places.taken(LOCAL), places.taken(LOCAL), places.taken(LOCAL):
        assert places.refusal(LOCAL, 4) is None
        with places.taken(LOCAL):
            assert places.refusal(LOCAL, 4) == "4 streams are open already"

"""Whatever the chunks: of a secret nothing stands in what is given out, and nothing else is changed."""

import base64
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.process.supervisor.masker import Masker

SECRETS = st.lists(st.text("ab\n", min_size=1, max_size=14), min_size=1, max_size=3)


def masked(secrets: list[str], *chunks: bytes) -> bytes:
    masker = Masker(secrets)
    return b"".join([*map(masker.feed, chunks), masker.end()])


@settings(max_examples=400, deadline=None)
@given(secrets=SECRETS, data=st.text("ab\nc", max_size=200), cuts=st.lists(st.integers(0, 200), max_size=30))
def test_no_secret_is_left_and_chunks_make_no_difference(
    secrets: list[str], data: str, cuts: list[int]
) -> None:
    whole = data.encode()
    places = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    chunks = [whole[a:b] for a, b in pairwise(places)]
    told = masked(secrets, *chunks)
    assert told == masked(secrets, whole)
    lines = [line for secret in secrets for line in (secret, *secret.splitlines())]
    assert not any(line.encode() in told for line in lines if len(line) >= 6)


@pytest.mark.parametrize(
    "form",
    [
        b"pa55 word/\xc3\xa9",
        base64.b64encode("pa55 word/é".encode()),
        b"pa55%20word%2F%C3%A9",
        "pa55 word/é".encode().hex().encode(),
    ],
)
def test_a_secret_is_found_in_its_encodings(form: bytes) -> None:
    assert masked(["pa55 word/é"], b"<" + form + b">\n") == b"<***>\n"


def test_each_line_of_a_secret_is_one() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nAbc\n-----END KEY-----"
    assert masked([key], b"key: MIIEvQIBADANBg.\nAbc\n") == b"key: ***.\nAbc\n"
    assert masked([key], key.encode()) == b"***"


def test_what_is_too_short_is_left() -> None:
    assert masked(["abcde"], b"abcde") == b"abcde"


def test_nothing_but_the_beginning_of_a_secret_waits_for_what_follows() -> None:
    masker = Masker(["secret-1"])
    assert masker.feed(b"50 %\r") == b"50 %\r"
    assert masker.feed(b"the sec") == b"the "
    assert masker.feed(b"ond") == b"second"
    assert masker.feed(b"secret-") == b""
    assert masker.feed(b"1!") == b"***!"


@pytest.mark.parametrize("user", ["", "a", "ab", "etl"])
@pytest.mark.parametrize("after", ["", "x", "xy", "xyz"])
def test_a_secret_is_found_amid_other_bytes_in_base64(user: str, after: str) -> None:
    """`Authorization: Basic …` holds `user:password`: the password is not where base64 begins."""
    value = "correct-horse"
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        header = encode(f"{user}:{value}{after}".encode())
        told = masked([value], b"Basic " + header + b"\n")
        assert b"***" in told
        left = told.removeprefix(b"Basic ").rstrip().split(b"***")
        of_the_others = (len(user) + 1 + len(after)) * 4 // 3
        assert len(b"".join(left)) <= of_the_others + 6  # what it shares with them, and the padding


def test_what_only_begins_like_a_secret_in_base64_is_left() -> None:
    data = base64.b64encode(b"correct-h0rse and others")
    assert masked(["correct-horse"], data) == data

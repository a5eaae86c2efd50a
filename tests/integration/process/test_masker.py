"""Whatever the chunks: of a secret nothing stands in what is given out, and nothing else is changed."""

import base64
import re
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.process.supervisor.masker import KeyMasker, LogMasker, Masker
from domain.access import PREFIX, prefix_of
from tests.integration.process.rig import Rig

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


# -- API keys ----------------------------------------------------------------------------------------------


def key_of(number: int) -> bytes:
    """Of the form that keys have (application.manage_keys), and each time the same."""
    random = Random(number)  # noqa: S311 - it opens nothing
    return PREFIX.encode() + base64.urlsafe_b64encode(random.randbytes(32)).rstrip(b"=")


WORDS = st.sampled_from([b"etl_", b"e", b"_", b"-", b" ", b"\n", b"load", b"A", b"9" * 20, b"Zz" * 20])


def without_keys(*chunks: bytes) -> bytes:
    masker = KeyMasker()
    return b"".join([*map(masker.feed, chunks), masker.end()])


def test_of_an_api_key_that_nobody_told_of_the_public_beginning_is_left() -> None:
    key = key_of(1)
    assert without_keys(b"Bearer " + key + b"\n") == b"Bearer " + prefix_of(key.decode()).encode() + b"***\n"


@settings(max_examples=400, deadline=None)
@given(
    texts=st.lists(st.lists(WORDS, max_size=5).map(b"".join), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 400), max_size=30),
)
def test_no_key_is_left_however_it_is_cut_and_all_else_stays(texts: list[bytes], cuts: list[int]) -> None:
    keys = [key_of(n) for n in range(len(texts))]
    whole = b"".join(text + b"\n" + key for text, key in zip(texts, keys, strict=True))
    places = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    told = without_keys(*(whole[a:b] for a, b in pairwise(places)))
    assert told == without_keys(whole)
    assert not any(key in told for key in keys)
    assert all(key[:12] + b"***" in told for key in keys)


@settings(max_examples=400, deadline=None)
@given(text=st.lists(WORDS, max_size=20).map(b"".join), cuts=st.lists(st.integers(0, 400), max_size=30))
def test_where_no_key_is_nothing_is_changed(text: bytes, cuts: list[int]) -> None:
    if re.search(rb"etl_[A-Za-z0-9_-]{43}", text) is None:
        places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
        assert without_keys(*(text[a:b] for a, b in pairwise(places))) == text


def test_a_long_name_is_no_key() -> None:
    name = b"etl_load_customers_and_their_orders_into_the_warehouse"
    assert without_keys(name) == name


def test_a_prompt_that_ends_as_a_key_begins_is_shown_at_once() -> None:
    masker = KeyMasker()
    for prompt in (b"done", b"Which etl", b"? etl_", b"load\r", b"from etl_orders"):
        assert masker.feed(prompt) == prompt
    assert masker.feed(b"_and_lines") == b"_a"  # the rest is more than a key shows of itself
    assert masker.feed(b"\n") == b"nd_lines\n"


def test_a_secret_that_holds_a_key_is_masked_as_a_whole() -> None:
    secret = f"user:{key_of(1).decode()}:more"
    masker = LogMasker([secret])
    assert masker.feed(f"<{secret}>".encode()) + masker.end() == b"<***>"


async def test_a_key_stands_in_no_log(rig: Rig) -> None:
    key = key_of(1).decode()
    _, log = await rig.run_sh(f"printf %s {key[:20]}; sleep 0.2; echo {key[20:]}; echo {key} >&2")
    assert sorted(log.splitlines()) == [f"{key[:12]}***".encode()] * 2

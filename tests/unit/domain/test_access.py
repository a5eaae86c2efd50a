"""Who may do what, and what a key is worth."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.access import Principal, Scope, digest_of, prefix_of
from domain.errors import Forbidden, MissingScope
from tests.builders import NOON, a_key

SCOPES = st.frozensets(st.sampled_from(Scope))


def who(*scopes: Scope) -> Principal:
    return Principal(name="nightly", scopes=frozenset(scopes))


def test_a_scope_that_is_missing_is_named() -> None:
    who(Scope.JOBS_READ).require(Scope.JOBS_READ)
    with pytest.raises(MissingScope, match="jobs:submit"):
        who(Scope.JOBS_READ).require(Scope.JOBS_SUBMIT)


def test_admin_is_all() -> None:
    for scope in Scope:
        who(Scope.ADMIN).require(scope)


def test_submitting_does_not_include_bare_commands() -> None:
    assert not who(Scope.JOBS_SUBMIT).has(Scope.JOBS_COMMAND)


@given(mine=SCOPES, wanted=SCOPES)
def test_a_key_never_grants_more_than_its_issuer_has(
    mine: frozenset[Scope], wanted: frozenset[Scope]
) -> None:
    issuer = Principal(name="nightly", scopes=mine)
    if Scope.ADMIN in mine or wanted <= mine:
        issuer.require_to_grant(wanted)
    else:
        with pytest.raises(Forbidden):
            issuer.require_to_grant(wanted)


def test_a_key_accepts_its_own_secret_only() -> None:
    key = a_key("etl_right")
    assert key.accepts("etl_right", NOON)
    assert not key.accepts("etl_wrong", NOON)
    assert not key.accepts("", NOON)


def test_a_key_is_refused_from_the_moment_it_expires() -> None:
    key = a_key("etl_right", expires_at=NOON)
    assert key.accepts("etl_right", NOON - timedelta(microseconds=1))
    assert not key.accepts("etl_right", NOON)


def test_a_revoked_key_is_refused_whatever_its_expiry() -> None:
    key = a_key("etl_right", revoked_at=NOON, expires_at=NOON + timedelta(days=1))
    assert not key.accepts("etl_right", NOON - timedelta(hours=1))


@given(secret=st.text(max_size=60))
def test_of_a_secret_its_digest_and_its_first_twelve_characters_are_kept(secret: str) -> None:
    assert len(digest_of(secret)) == 32
    assert len(prefix_of(secret)) <= 12
    assert secret.startswith(prefix_of(secret))


def test_a_key_speaks_as_its_principal() -> None:
    key = a_key(name="nightly", scopes=frozenset({Scope.LOGS_READ}), expires_at=NOON)
    assert key.principal == replace(who(Scope.LOGS_READ), key_id=key.id, expires_at=NOON)


def test_no_two_keys_and_no_token_have_the_same_identity() -> None:
    keys = (a_key("etl_1", name="ci"), a_key("etl_2", name="ci"))
    token = Principal(name="ci", scopes=frozenset(), by_token=True)
    posing = replace(token, name=keys[0].principal.identity)
    identities = {who.identity for who in (keys[0].principal, keys[1].principal, token, posing)}
    assert len(identities) == 4


def test_a_key_that_ends_issues_none_that_ends_later_and_a_token_may() -> None:
    later = NOON + timedelta(seconds=1)
    a_key().principal.require_to_outlive(None)
    replace(who(), by_token=True, expires_at=NOON).require_to_outlive(later)
    ending = a_key(expires_at=NOON).principal
    ending.require_to_outlive(NOON)
    for expires_at in (later, None):
        with pytest.raises(Forbidden):
            ending.require_to_outlive(expires_at)

"""Every way to say no has a code, a title and a page."""

from collections.abc import Iterator

from domain.errors import EtlError, InvalidJob, Place


def every(kind: type[EtlError] = EtlError) -> Iterator[type[EtlError]]:
    for each in kind.__subclasses__():
        yield each
        yield from every(each)


def test_every_error_has_a_code_of_its_own_a_title_and_a_docstring() -> None:
    errors = list(every())
    codes = [error.code for error in errors]
    assert len(codes) == len(set(codes))
    for error in errors:
        assert {"code", "title"} <= vars(error).keys(), error
        assert error.__doc__, error


def test_there_are_seven_kinds() -> None:
    kinds = [kind for kind in EtlError.__subclasses__() if kind.__module__ == EtlError.__module__]
    assert len(kinds) == 7


def test_an_error_tells_its_sentence_and_its_places() -> None:
    place = Place("/priority", "must be from -100 to 100")
    error = InvalidJob("This job cannot run.", [place])
    assert (str(error), error.detail, error.places) == (
        "This job cannot run.",
        "This job cannot run.",
        (place,),
    )

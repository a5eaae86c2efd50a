"""Where settings come from, which source wins, and what each mistake is told."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from domain.errors import WrongSetting
from entrypoints.settings import Loaded, is_loopback, load
from entrypoints.settings.values import all_settings, show


def loaded(
    directory: Path,
    *,
    flags: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    file: str | None = None,
) -> Loaded:
    if file is not None:
        (directory / "etl.toml").write_text(file, encoding="utf-8")
    return load(flags or {}, environ or {}, directory)


def refusal(
    directory: Path,
    *,
    flags: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    file: str | None = None,
) -> str:
    with pytest.raises(WrongSetting) as caught:
        loaded(directory, flags=flags, environ=environ, file=file)
    assert "\n" not in caught.value.detail
    return caught.value.detail


# -- sources ------------------------------------------------------------------------------------------


def test_without_any_source_the_documented_defaults_hold(tmp_path: Path) -> None:
    settings = loaded(tmp_path).settings
    assert settings.data.directory == tmp_path / ".etl"
    assert settings.scripts.directory == tmp_path / "scripts"
    assert settings.scripts.python == Path(sys.executable)
    assert settings.logs_directory == tmp_path / ".etl" / "logs"
    assert settings.database.url is None
    assert not settings.scripts.allow_commands
    assert (settings.worker.lease, settings.worker.last_lease, settings.worker.poll) == (60, 900, 5)
    assert (settings.worker.on_stop, settings.worker.drain) == (None, 600)
    assert (settings.process.timeout, settings.process.stop_grace) == (3600, 10)
    assert settings.process.environment == ("PATH", "HOME", "LANG", "TZ")
    assert (settings.retention.jobs, settings.retention.logs) == (90 * 86400, 30 * 86400)
    assert (settings.http.host, settings.http.port, settings.http.auth) == ("127.0.0.1", 8000, True)
    assert settings.http.max_body == 2**20


def test_every_default_comes_from_default(tmp_path: Path) -> None:
    assert set(loaded(tmp_path).origins.values()) == {"default"}


def test_flags_go_over_environment_over_file(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        file='[http]\nport = 1\nhost = "::1"\n[worker]\nslots = 1\n',
        environ={"ETL_HTTP__PORT": "2", "ETL_WORKER__SLOTS": "2"},
        flags={"http.port": "3"},
    )
    http, worker = found.settings.http, found.settings.worker
    assert (http.port, worker.slots, http.host) == (3, 2, "::1")
    assert found.origins["http.port"] == "--http.port"
    assert found.origins["worker.slots"] == "ETL_WORKER__SLOTS"
    assert found.origins["http.host"] == f"{tmp_path / 'etl.toml'}: http.host"


def test_a_named_file_is_read_instead_and_its_paths_begin_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "etl.toml").write_text("[http]\nport = 1\n")
    elsewhere = tmp_path / "conf"
    elsewhere.mkdir()
    (elsewhere / "my.toml").write_text('[scripts]\ndirectory = "jobs"\n')
    settings = load({}, {}, tmp_path, Path("conf/my.toml")).settings
    assert settings.http.port == 8000
    assert settings.scripts.directory == elsewhere / "jobs"


def test_lists_and_tables_are_comma_separated_in_the_environment(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        environ={
            "ETL_WORKER__QUEUES": "fast, slow",
            "ETL_WORKER__LABELS": "zone=eu,disk=ssd",
            "ETL_PROCESS__ENVIRONMENT": "PATH",
        },
    ).settings
    assert settings.worker.queues == ("fast", "slow")
    assert settings.worker.labels == {"zone": "eu", "disk": "ssd"}
    assert settings.process.environment == ("PATH",)


def test_lists_and_tables_are_toml_in_the_file(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path, file='[worker]\nqueues = ["fast"]\nlabels = {zone = "eu"}\nlease = "2m"\n'
    ).settings
    assert settings.worker.queues == ("fast",)
    assert settings.worker.labels == {"zone": "eu"}
    assert settings.worker.lease == 120


@pytest.mark.parametrize(("text", "expected"), [("on", True), ("off", False), ("true", True), ("OFF", False)])
def test_switches_are_written_on_and_off(tmp_path: Path, text: str, *, expected: bool) -> None:
    assert loaded(tmp_path, flags={"http.auth": text}).settings.http.auth is expected


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:p@h/d\n")
    found = loaded(tmp_path, environ={"ETL_DATABASE__URL_FILE": "url"})
    assert found.settings.database.url == "postgresql://u:p@h/d"
    assert found.origins["database.url"] == f"ETL_DATABASE__URL_FILE ({tmp_path / 'url'})"


def test_lease_terms_leave_room_for_several_renewals(tmp_path: Path) -> None:
    usual = loaded(tmp_path).settings.lease_terms
    assert (usual.seconds, usual.last_seconds) == (60, 900)
    assert (usual.margin_seconds, usual.renew_every_seconds) == (10, 10)
    short = loaded(tmp_path, flags={"worker.lease": "6s"}).settings.lease_terms
    assert (short.margin_seconds, short.renew_every_seconds) == (1, 1)


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    others = {"ETL_URL": "x", "ETL_API_KEY": "x", "ETL_JOB_ID": "x", "ETL_HOME": "/opt", "HTTP_PORT": "x"}
    assert set(loaded(tmp_path, environ=others).origins.values()) == {"default"}


def test_secrets_are_hidden_where_settings_are_shown(tmp_path: Path) -> None:
    secret = "postgresql://u:hunter2@h/d"  # noqa: S105 - what must not be shown
    settings = loaded(tmp_path, environ={"ETL_DATABASE__URL": secret}).settings
    shown = {s.key: show(s, s.of(settings)) for s in all_settings()}
    assert shown["database.url"] == "***"
    assert shown["worker.lease"] == "1m"
    assert shown["http.max_body"] == "1MiB"


# -- mistakes -----------------------------------------------------------------------------------------


def test_an_unknown_name_in_the_file_names_file_key_and_cure(tmp_path: Path) -> None:
    assert refusal(tmp_path, file="[http]\nprot = 1\n") == (
        f"{tmp_path / 'etl.toml'}: http.prot: there is no such setting; did you mean http.port?"
    )


def test_an_unknown_section_in_the_file_is_refused(tmp_path: Path) -> None:
    assert "zzz.a: there is no such setting; `etl config show` lists" in refusal(
        tmp_path, file="[zzz]\na = 1\n"
    )


def test_a_name_outside_any_section_is_refused(tmp_path: Path) -> None:
    assert "port: there is no such setting" in refusal(tmp_path, file="port = 1\n")


def test_an_unknown_variable_names_itself_and_the_cure(tmp_path: Path) -> None:
    assert refusal(tmp_path, environ={"ETL_HTTP__PROT": "1"}) == (
        "ETL_HTTP__PROT: there is no such setting; did you mean ETL_HTTP__PORT?"
    )


def test_a_variable_with_one_underscore_too_few_does_not_go_unnoticed(tmp_path: Path) -> None:
    assert "did you mean ETL_HTTP__PORT?" in refusal(tmp_path, environ={"ETL_HTTP_PORT": "1"})


def test_an_unknown_flag_names_itself(tmp_path: Path) -> None:
    assert refusal(tmp_path, flags={"http.prot": "1"}).startswith("--http.prot: there is no such setting")


@pytest.mark.parametrize("name", ["ETL_WORKER__POLL", "ETL_PROCESS__TIMEOUT", "ETL_RETENTION__JOBS"])
def test_a_bare_number_is_no_duration(tmp_path: Path, name: str) -> None:
    said = refusal(tmp_path, environ={name: "5"})
    assert said == f"{name}: '5' is wrong: write a duration with its unit: 500ms, 30s, 5m, 2h or 7d."


def test_a_bare_number_in_the_file_is_no_duration_and_no_size(tmp_path: Path) -> None:
    assert 'quoted: "30s"' in refusal(tmp_path, file="[worker]\nlease = 60\n")
    assert 'quoted: "10MiB"' in refusal(tmp_path, file="[http]\nmax_body = 1048576\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ETL_HTTP__PORT", "99999"),
        ("ETL_HTTP__PORT", "abc"),
        ("ETL_HTTP__AUTH", "maybe"),
        ("ETL_HTTP__MAX_BODY", "0B"),
        ("ETL_WORKER__SLOTS", "0"),
        ("ETL_WORKER__LABELS", "zone"),
        ("ETL_WORKER__POLL", "0s"),
        ("ETL_DATA__DIRECTORY", " "),
        ("ETL_DATA__DIRECTORY", "~nobody-of-this-name/etl"),
        ("ETL_TELEMETRY__LOG_FORMAT", "xml"),
        ("ETL_WORKER__QUEUES", "a b"),
        ("ETL_HTTP__CORS_ORIGINS", "*"),
        ("ETL_HTTP__CORS_ORIGINS", "example.org"),
        ("ETL_HTTP__CORS_ORIGINS", "https://example.org/"),
    ],
)
def test_a_wrong_value_names_its_variable(tmp_path: Path, name: str, value: str) -> None:
    assert refusal(tmp_path, environ={name: value}).startswith(f"{name}: {value!r} is wrong:")


@pytest.mark.parametrize("origin", ["https://example.org", "http://localhost:3000", "app://notes"])
def test_an_origin_is_taken_as_browsers_write_it(tmp_path: Path, origin: str) -> None:
    found = loaded(tmp_path, environ={"ETL_HTTP__CORS_ORIGINS": origin})
    assert found.settings.http.cors_origins == (origin,)


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("ETL_WORKER__ON_STOP", "hand_over, wait or stop"),
        ("ETL_TELEMETRY__LOG_LEVEL", "debug, info, warning or error"),
    ],
)
def test_a_word_that_is_none_of_the_choices_is_told_them(tmp_path: Path, name: str, choices: str) -> None:
    assert refusal(tmp_path, environ={name: "x"}) == f"{name}: 'x' is wrong: write {choices}."


def test_text_where_the_file_needs_a_number_is_refused(tmp_path: Path) -> None:
    assert "http.port: '80' is wrong: expected `int`" in refusal(tmp_path, file='[http]\nport = "80"\n')


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, file="[http\n").startswith(f"{tmp_path / 'etl.toml'}: is no TOML:")


def test_a_named_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match=r"none\.toml: cannot be read: No such file"):
        load({}, {}, tmp_path, Path("none.toml"))


def test_an_empty_address_of_the_database_is_not_taken_for_none(tmp_path: Path) -> None:
    assert refusal(tmp_path, environ={"ETL_DATABASE__URL": ""}).startswith("ETL_DATABASE__URL: ")


@pytest.mark.parametrize("scheme", ["mysql", "postgresql+psycopg", "jdbc:postgresql"])
def test_an_address_of_another_kind_of_database_is_refused_and_not_shown(tmp_path: Path, scheme: str) -> None:
    told = refusal(tmp_path, environ={"ETL_DATABASE__URL": f"{scheme}://etl:hunter22@db/etl"})
    assert told == "ETL_DATABASE__URL: must begin with postgresql://."


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    environ = {"ETL_DATABASE__URL": "x", "ETL_DATABASE__URL_FILE": "y"}
    assert "give only one of" in refusal(tmp_path, environ=environ)


def test_a_secret_whose_file_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path, environ={"ETL_DATABASE__URL_FILE": "none"})


def test_only_secrets_come_from_files(tmp_path: Path) -> None:
    assert "there is no such setting" in refusal(tmp_path, environ={"ETL_HTTP__PORT_FILE": "x"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104 - refused
def test_auth_may_be_off_on_a_loopback_host_only(tmp_path: Path, host: str) -> None:
    said = refusal(tmp_path, environ={"ETL_HTTP__AUTH": "off"}, flags={"http.host": host})
    assert said.startswith("ETL_HTTP__AUTH: auth may be off on a loopback host only")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_hosts(host: str) -> None:
    assert is_loopback(host)


def test_leases_that_no_renewal_could_save_are_refused(tmp_path: Path) -> None:
    assert "worker.lease: must be at least 3s" in refusal(tmp_path, flags={"worker.lease": "1s"})
    assert "must not be shorter than worker.lease" in refusal(tmp_path, flags={"worker.last_lease": "5s"})

#!/bin/sh
# Installs what tests/integration/process/test_real_programs.py runs, each into an environment of its own
# below DIR: PySpark (some 500 MB; needs Java 17) and dbt with DuckDB (some 200 MB).
#   tests/real-programs.sh DIR && ./run test tests/integration/process/test_real_programs.py --real-programs DIR
set -eu

directory=${1:?usage: tests/real-programs.sh DIR}

install() {
    name=$1
    shift
    [ -x "$directory/$name/bin/python" ] || python3 -m venv "$directory/$name"
    "$directory/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

if ! command -v java >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends default-jre-headless >/dev/null
    else
        echo "real-programs: there is no java; PySpark needs version 17 or later (Debian: default-jre-headless)" >&2
    fi
fi
install pyspark 'pyspark==4.*'
install dbt 'dbt-core==1.11.*' 'dbt-duckdb==1.*' # dbt-core 1.12 and later fetch a part of themselves from elsewhere

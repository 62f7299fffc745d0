# PostgreSQL from Debian's package, for a machine that reaches no registry of images. It takes the variables of the official
# image that docker-compose.yml sets.
ARG BASE=debian:12-slim
FROM ${BASE}
RUN apt-get update \
    && mkdir -p /etc/postgresql-common \
    && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/ 2>/dev/null || true
COPY postgres-entrypoint /usr/local/bin/
RUN install -d -o postgres -m 0700 /var/lib/postgresql/data && install -d -o postgres /var/run/postgresql
USER postgres
ENTRYPOINT ["postgres-entrypoint"]

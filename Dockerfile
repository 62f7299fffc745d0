# One image for every service of docker-compose.yml: each runs another command of it.
FROM debian:12-slim

RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates pushpin python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

# The run directory is made here for the runtimes that do not mount one over it.
RUN groupadd --gid 10001 shirase \
    && useradd --uid 10001 --gid shirase --no-create-home --home-dir /run/shirase shirase \
    && install -d -o shirase -g shirase -m 0700 /run/shirase

WORKDIR /opt/shirase/source
COPY pyproject.toml README.md LICENSE ./
COPY api ./api
COPY migrations ./migrations
COPY pushpin ./pushpin
RUN python3 -m venv /opt/shirase/.venv \
    && /opt/shirase/.venv/bin/pip install --no-cache-dir . \
    && rm -rf /opt/shirase/source/*

ENV PATH=/opt/shirase/.venv/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1
WORKDIR /run/shirase
USER shirase
CMD ["shirase", "--help"]

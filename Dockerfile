# Two images. `shirase` (the default) runs the handlers, the relay and the commands. `shirase-node` (--target node) adds
# Pushpin and holds the streams: it has a tag of its own, so that a new release of the handlers does not replace it.
ARG BASE=debian:12-slim

FROM ${BASE} AS base
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*
# The run directory is made here for the runtimes that do not mount one over it.
RUN groupadd --gid 10001 shirase \
    && useradd --uid 10001 --gid shirase --no-create-home --home-dir /run/shirase shirase \
    && install -d -o shirase -g shirase -m 0700 /run/shirase
ENV PATH=/opt/shirase/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1
WORKDIR /run/shirase

FROM base AS build
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY deploy/build-requirements.txt deploy/requirements.txt ./deploy/
# Every package by its hashes, the back ends that build some of them included (.ci/lock makes the lists).
RUN python3 -m venv /opt/shirase \
    && pip install --no-cache-dir --require-hashes --only-binary :all: -r deploy/build-requirements.txt \
    && pip install --no-cache-dir --require-hashes --no-build-isolation -r deploy/requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY api ./api
COPY migrations ./migrations
COPY pushpin ./pushpin
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

FROM base AS node
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends pushpin \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/shirase /opt/shirase
USER shirase
CMD ["shirase", "proxy", "--help"]

FROM base AS handlers
COPY --from=build /opt/shirase /opt/shirase
USER shirase
CMD ["shirase", "--help"]

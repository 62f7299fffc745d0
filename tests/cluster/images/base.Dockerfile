# The base of the images on a machine whose registries are behind certificates of its own.
ARG BASE
FROM ${BASE}
COPY certificates.crt /etc/ssl/certs/ca-certificates.crt
RUN printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >/etc/pip.conf

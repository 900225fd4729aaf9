# headrace's image: one virtual environment, one unprivileged user, no compiler, no package cache.
#
#   docker build -t headrace .
#   docker run --rm headrace --help

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/headrace
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY topics ./topics
COPY pipeline ./pipeline
COPY agents ./agents
RUN /opt/headrace/bin/pip install .

FROM python:3.11-slim
# The uid is what the manifests name; group 0 so that platforms which choose the uid (OpenShift) can write, too.
RUN useradd --uid 10001 --gid 0 --no-create-home --home-dir /var/lib/headrace --shell /usr/sbin/nologin headrace \
    && install --directory --owner=10001 --group=0 --mode=0770 /var/lib/headrace
COPY --from=build /opt/headrace /opt/headrace
ENV PATH=/opt/headrace/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /var/lib/headrace
USER 10001:0
# run, scraper, tailer, agent
EXPOSE 9095 9096 9097 9098
ENTRYPOINT ["headrace"]
CMD ["--help"]

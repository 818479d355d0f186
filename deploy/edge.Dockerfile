# A sensor: no PyTorch, no Redis. docker build --file deploy/edge.Dockerfile --tag earwitness-edge .
# For a Pi with a 64-bit system: docker buildx build --platform linux/arm64 --file deploy/edge.Dockerfile ...
ARG PYTHON=python:3.11.13-slim-bookworm
FROM ${PYTHON} AS build
# The constraints also apply to the build of our wheel.
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=/src/constraints.txt
RUN python -m venv /opt/earwitness
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY shared shared
COPY edge edge
# Without the hub's code and networks, which a sensor does not use.
RUN /opt/earwitness/bin/pip install --constraint constraints.txt '.[edge]' \
 && find /opt/earwitness -name __pycache__ -type d -prune -exec rm -rf {} +

FROM ${PYTHON}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libportaudio2 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 earwitness \
 && useradd --uid 10001 --gid 10001 --groups audio --no-create-home --home-dir /var/lib/earwitness-edge earwitness \
 && install -d -o earwitness -g earwitness /var/lib/earwitness-edge
COPY --from=build /opt/earwitness /opt/earwitness
ENV PATH=/opt/earwitness/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp ORT_DISABLE_TELEMETRY=1
USER 10001:10001
WORKDIR /var/lib/earwitness-edge
VOLUME /var/lib/earwitness-edge
# An agent works while the broker is away, so the check asks no server. Healthy: the agent wrote or read its spool in
# the last five minutes.
HEALTHCHECK --interval=60s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import glob, os, sys, time; sys.exit(not any(time.time() - os.stat(f).st_mtime < 300 for f in glob.glob('/var/lib/earwitness-edge/*.db*')))"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["earwitness-edge"]
CMD ["run", "--config", "/etc/earwitness/edge.toml"]

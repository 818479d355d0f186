# The hub. Build it from the sources' root: docker build --file deploy/hub.Dockerfile --tag earwitness-hub .
# For amd64 and arm64: docker buildx build --platform linux/amd64,linux/arm64 --file deploy/hub.Dockerfile ...
ARG PYTHON=python:3.11.13-slim-bookworm
FROM ${PYTHON} AS build
# PyTorch's build without CUDA; for a GPU, another of PyTorch's indexes, such as .../whl/cu130.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# The constraints also apply to the build of our wheel.
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=/src/constraints.txt
RUN python -m venv /opt/earwitness
WORKDIR /src
# The large part first: it stays in the builder's cache while only our own code changes.
COPY constraints.txt ./
RUN /opt/earwitness/bin/pip install --constraint constraints.txt --no-deps --index-url "${TORCH_INDEX}" torch torchaudio
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY edge edge
COPY hub hub
RUN /opt/earwitness/bin/pip install --constraint constraints.txt '.[hub]' \
 && find /opt/earwitness -name __pycache__ -type d -prune -exec rm -rf {} +

FROM ${PYTHON}
RUN groupadd --gid 10001 earwitness \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/earwitness-hub earwitness \
 && install -d -o earwitness -g earwitness /var/lib/earwitness-hub
COPY --from=build /opt/earwitness /opt/earwitness
ENV PATH=/opt/earwitness/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp ORT_DISABLE_TELEMETRY=1
USER 10001:10001
WORKDIR /var/lib/earwitness-hub
EXPOSE 8080
# Healthy: broker and store answer, and events are archived. A start may first read a million events.
HEALTHCHECK --interval=15s --timeout=5s --start-period=180s --retries=4 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz/ready', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["earwitness-hub"]
CMD ["serve", "--config", "/run/secrets/hub.toml"]
